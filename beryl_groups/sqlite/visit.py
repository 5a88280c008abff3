"""A database file as a command looks at it.

The file, and the folder around it, stay as they are: no file is made and none migrated. No lock is
taken that a writer has to wait for, and no writer is waited for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from beryl_groups import sqlite
from beryl_groups.errors import GroupError, StartFailed, StorageFailed
from beryl_groups.sqlite import connections, copies, errors, faults, schema
from beryl_groups.sqlite.files import in_lower_case, no_file
from beryl_groups.sqlite.locating import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.location import Location

T = TypeVar("T")
Given = TypeVarTuple("Given")


class FileVisit:
    """One connection to a file that is there."""

    def __init__(
        self,
        connection: Connection,
        location: Location,
        state: tuple[int, ...],
        busy_timeout: float,
    ) -> None:
        self._connection = connection
        self._location = location
        self._state = state
        self._busy_timeout = busy_timeout
        self.shown = location.shown
        self.on_the_way: Callable[[], None] | None = None
        self.revision = schema.read_revision(connection, location)

    def read(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        try:
            with connections.watched(self._connection, self.on_the_way):
                return operation(self._connection, *given)
        except sqlite.Errors as error:
            raise errors.translate(error, self._location, self._busy_timeout) from error

    def problems(self) -> list[str]:
        return self.read(copies.problems)

    def backup(self, path: str, progress: Callable[[int, int, int], None]) -> None:
        def write(draft: Path, target: Path) -> None:
            self.read(copies.copy_to, draft, target, progress)
            self.confirm()

        copies.write_backup(path, write)

    def known_faults(self) -> Iterator[Warning]:
        return faults.known_faults()

    def sizes(self) -> dict[str, int]:
        file, wal = self._location.sizes()
        return {"file_bytes": file, "wal_bytes": wal}

    def software(self) -> dict[str, str]:
        return {"sqlite": sqlite.driver.sqlite_version}

    def confirm(self) -> None:
        """Raise where a file that is read without locks has been written meanwhile."""
        if isinstance(self._connection, connections.SettledConnection) and (
            state_of(self._location) != self._state
        ):
            raise StorageFailed(
                f"The database {self.shown!r} may only be read here, and was written "
                "while it was: what was read may be wrong, so read it again."
            )

    def close(self) -> None:
        self._connection.close()


def is_missing(database: str) -> bool:
    return not os.path.lexists(location_of(database).path)


def file_of(database: str) -> str:
    return location_of(database).path


def visit(database: str, busy_timeout: float) -> FileVisit:
    """Open a file to look at it, or raise `StartFailed`."""
    location = location_of(database)
    state = state_of(location)
    try:
        schema.refuse_before_it_is_touched(location, busy_timeout)
        connection = connections.open_for_a_visit(location, busy_timeout)
        try:
            return FileVisit(connection, location, state, busy_timeout)
        except BaseException:
            connection.close()
            raise
    except sqlite.Errors as error:
        raise errors.start_failed(error, location, busy_timeout) from error


def location_of(database: str) -> Location:
    location = locate(database)
    if location.in_memory:
        location.remove()
        raise GroupError("A database in memory ends with its process: name a file.")
    return location


def state_of(location: Location) -> tuple[int, ...]:
    """Return what a write to the file changes, or raise `StartFailed` where there is no file."""
    try:
        status = os.stat(location.path)  # noqa: PTH116 - a Path drops a slash at the end
    except FileNotFoundError as error:
        raise StartFailed(location.shown, "there is no such file") from error
    except OSError as error:
        raise StartFailed(location.shown, in_lower_case(error)) from error
    if (reason := no_file(status)) is not None:
        raise StartFailed(location.shown, reason)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
