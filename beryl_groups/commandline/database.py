"""The database that a command is given: opened to be read, or to be written.

A command that reads leaves the file, and the folder around it, as they were: it makes no file and
migrates none. It takes no lock that a writer has to wait for, and waits for no writer. A command
that writes does not migrate either: that is for ``upgrade``, which the user calls on purpose.
"""

from __future__ import annotations

import os
import stat
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar

from beryl_groups import sqlite
from beryl_groups.broadcast import deliver
from beryl_groups.errors import GroupError, StartFailed, StorageFailed
from beryl_groups.groups import Groups, start
from beryl_groups.methods import GroupMethods
from beryl_groups.sqlite import connections, copies, schema
from beryl_groups.sqlite import errors as sqlite_errors
from beryl_groups.sqlite.location import Location, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_TIMEOUT = 5.0


class Visit(GroupMethods):
    """The methods that read, on one connection to a file that is there."""

    def __init__(
        self, connection: connections.Connection, location: Location, state: tuple[int, ...]
    ) -> None:
        self.connection = connection
        self.location = location
        self._state = state
        self.on_the_way: Callable[[], None] = lambda: None
        self.revision = schema.read_revision(connection, location)

    def read(
        self,
        operation: Callable[Concatenate[connections.Connection, P], T],
        *args: P.args,
        **kw: P.kwargs,
    ) -> T:
        """Run an operation that only reads."""
        try:
            with connections.watched(self.connection, self.on_the_way):
                return operation(self.connection, *args, **kw)
        except sqlite.Errors as error:
            raise sqlite_errors.translate(error, self.location.shown, _BUSY_TIMEOUT) from error

    _read = read

    def _write(self, *_: object, **__: object) -> NoReturn:
        raise GroupError(f"The database {self.location.shown!r} was opened to be read.")

    def _deliver(
        self,
        channels: Callable[[str, str, Any], object],
        group: str | tuple[str, ...],
        topics: tuple[str, ...],
        event: str,
        payload: object,
    ) -> None:
        deliver(channels, group, topics, event, payload)

    def backup(self, path: str, progress: Callable[[int, int, int], None]) -> None:
        def write(draft: Path, target: Path) -> None:
            self.read(copies.copy_to, draft, target, progress)
            self.refuse_if_moved()

        copies.write_backup(path, write)

    def refuse_if_moved(self) -> None:
        """Raise where a file that is read without locks has been written meanwhile."""
        if isinstance(self.connection, connections.SettledConnection) and (
            _state(self.location) != self._state
        ):
            raise StorageFailed(
                f"The database {self.location.shown!r} may only be read here, and was written "
                "while it was: what was read may be wrong, so read it again."
            )

    def close(self) -> None:
        self.connection.close()


@contextmanager
def reading(database: str, *, any_revision: bool = False) -> Iterator[Visit]:
    """Give the groups of a file that is there and, unless told otherwise, current."""
    with closing(_visit(_file(database))) as visit:
        if not any_revision:
            _refuse_old(visit)
        try:
            yield visit
        except StorageFailed:
            visit.refuse_if_moved()
            raise
        visit.refuse_if_moved()


def writing(database: str, *, make: bool = False) -> Groups:
    """Open the groups of a current file, or of a new one where the command may make it."""
    if not (make and _is_missing(_file(database))):
        with reading(database, any_revision=True) as visit:
            if not (make and visit.revision is None):
                _refuse_old(visit)
    return start(database, busy_timeout=_BUSY_TIMEOUT)


def bring_up_to_date(database: str) -> None:
    """Migrate the file, where it is not current."""
    start(database, busy_timeout=_BUSY_TIMEOUT).close()


def _file(database: str) -> Location:
    location = locate(database)
    if location.in_memory:
        location.remove()
        raise GroupError("A database in memory ends with its process: name a file.")
    return location


def _is_missing(location: Location) -> bool:
    return not os.path.lexists(location.path)


def _state(location: Location) -> tuple[int, ...]:
    """Return what a write to the file changes, or raise `StartFailed` where there is no file."""
    try:
        status = Path(location.path).stat()
    except FileNotFoundError as error:
        raise StartFailed(location.shown, "there is no such file") from error
    except OSError as error:
        raise StartFailed(location.shown, (error.strerror or str(error)).lower()) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "device or a pipe"
        raise StartFailed(location.shown, f"it is a {kind}")
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _visit(location: Location) -> Visit:
    state = _state(location)
    try:
        schema.refuse_before_it_is_touched(location, _BUSY_TIMEOUT)
        connection = connections.open_for_a_visit(location, _BUSY_TIMEOUT)
        try:
            return Visit(connection, location, state)
        except BaseException:
            connection.close()
            raise
    except sqlite.Errors as error:
        reason = sqlite_errors.reason_to_refuse(error, location, _BUSY_TIMEOUT)
        raise StartFailed(location.shown, reason) from error


def _refuse_old(visit: Visit) -> None:
    if visit.revision != schema.HEAD:
        raise StartFailed(
            visit.location.shown,
            f"its schema has to be brought from {visit.revision or 'nothing'} to {schema.HEAD} "
            "first, which 'beryl-groups upgrade' does",
        )
