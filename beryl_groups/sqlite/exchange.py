"""A backup as another engine writes and reads it: a file of ours, whatever the groups lived in."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Protocol

from beryl_groups import sqlite
from beryl_groups.errors import StorageFailed
from beryl_groups.sqlite import connections, copies, errors, restoring, schema
from beryl_groups.sqlite.files import shown_path
from beryl_groups.sqlite.location import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from beryl_groups.sqlite.connections import Connection

_PATIENCE = 5.0  # seconds, with a file that nobody else knows

_INDEX = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"


class Content(Protocol):
    """What a database holds, as of one moment; first the groups are asked for, then the topics."""

    def groups(self) -> Iterable[tuple[int, str, str]]:
        """Give the id, the name and the moment of creation of each group."""

    def topics(self) -> Iterable[tuple[int, str]]:
        """Give the id of the group and the topic of each membership, in this order."""


def write_backup(path: str | os.PathLike[str], content: Content) -> None:
    """Write what a database holds to a new file, or raise `StorageFailed`."""

    def write(draft: Path, target: Path) -> None:
        schema.upgrade(Location(str(target), str(draft)), _PATIENCE)
        with closing(sqlite.driver.connect(draft, isolation_level=None)) as connection:
            _fill(connection, content)

    copies.write_backup(path, write)


def _fill(connection: sqlite.driver.Connection, content: Content) -> None:
    # The draft has no name yet that anyone would open: one sync at the end is enough.
    for setting in ("synchronous = OFF", "journal_mode = OFF", "foreign_keys = OFF"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("BEGIN")
    # In one go at the end: row after row it would touch pages all over the file.
    indexes = connection.execute(_INDEX).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    connection.executemany(
        "INSERT INTO groups (id, name, created_at) VALUES (?, ?, ?)", content.groups()
    )
    connection.executemany(
        "INSERT INTO group_topics (group_id, topic) VALUES (?, ?)", content.topics()
    )
    for _, statement in indexes:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()  # as start() leaves every file


class Backup:
    """A sound backup that is read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def groups(self) -> Iterator[tuple[int, str, str]]:
        """Give for each group its number, from 1 on, its name, and when it was created."""
        yield from self._connection.execute(restoring.GROUPS, (0,))

    def topics(self) -> Iterator[tuple[int, str]]:
        """Give for each membership the number of its group and the topic, in this order."""
        yield from self._connection.execute(restoring.TOPICS, (0,))


@contextmanager
def sound_backup(
    path: str | os.PathLike[str], on_the_way: Callable[[], None] | None = None
) -> Iterator[Backup]:
    """Give what a backup of ours holds, or raise `StorageFailed`; it stays as it is.

    A copy of it is judged and read, in the folder for temporary files.
    """
    with (
        _place(path) as beside,
        restoring.sound_copy(path, beside, on_the_way) as connection,
        connections.watched(connection, on_the_way),
    ):
        try:
            yield Backup(connection)
        except sqlite.Errors as error:  # in what nobody has judged
            reason = errors.reason(error, beside)
            raise StorageFailed(
                f"The backup {shown_path(path)} was not restored: {reason}."
            ) from error


def refuse_unsound(path: str | os.PathLike[str]) -> None:
    """Raise `StorageFailed` where the file is no sound backup of ours."""
    with _place(path) as beside:
        restoring.refuse_unsound(path, beside)


@contextmanager
def _place(path: str | os.PathLike[str]) -> Iterator[Location]:
    """Give the place for a copy of a backup."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix="beryl_groups-")
    except OSError as error:
        reason = f"there is no folder for temporary files: {error}"
        raise StorageFailed(f"The backup {shown_path(path)} was not restored: {reason}") from error
    with scratch as folder:
        yield Location(folder, os.path.join(folder, "copy.db"))  # noqa: PTH118
