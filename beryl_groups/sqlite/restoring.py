"""Putting what a backup holds in the place of all that a database holds.

The backup is copied to a draft, and the draft is judged, migrated and read from: the backup stays
as it is, and what was judged is what is restored, whoever writes to the backup meanwhile.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from beryl_groups import revisions, sqlite
from beryl_groups.errors import StartFailed, StorageFailed
from beryl_groups.sqlite import connections, copies, schema
from beryl_groups.sqlite import errors as sqlite_errors
from beryl_groups.sqlite.files import absolute, create_for_owner
from beryl_groups.sqlite.location import Location
from beryl_groups.sqlite.visit import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.store import Store

_KIB_OF_CACHE = 64 * 1024

_PATIENCE = 5.0  # seconds, with a backup that somebody has open

_HIGHEST_ID = """
    SELECT coalesce(max(id), 0) FROM (
        SELECT max(id) AS id FROM groups
        UNION ALL SELECT max(seq) FROM sqlite_sequence WHERE name = 'groups'
    )
"""
_FORGET = ("DELETE FROM group_topics", "DELETE FROM groups")
_REMEMBER_ID = ("INSERT INTO groups (id, name) VALUES (?, 'highest')", "DELETE FROM groups")

GROUPS = "SELECT ? + row_number() OVER (ORDER BY id), name, created_at FROM groups ORDER BY 1"
TOPICS = """
    SELECT new_id, topic
    FROM (SELECT id, ? + row_number() OVER (ORDER BY id) AS new_id FROM groups)
    CROSS JOIN group_topics ON group_id = id
"""
"""What a backup holds, with an id for each group that is so much higher than its place in it."""


def restore(
    store: Store, path: str | os.PathLike[str], on_the_way: Callable[[], None] | None = None
) -> None:
    """Replace all groups by those of the backup, in one transaction."""
    # Beside the database, for a folder for temporary files may be missing or too small.
    draft = store.location.wal.with_name(f".beryl-{os.urandom(4).hex()}")
    with (
        sound_copy(path, draft, on_the_way, store.location.identity()) as backup,
        store.transaction() as session,
    ):
        session.write(_replace, backup, on_the_way)


def _replace(
    connection: Connection, backup: Connection, on_the_way: Callable[[], None] | None
) -> None:
    # A restored group is another one than the group that had its id: none is given twice.
    highest = max(highest_id(connection), highest_id(backup))
    with _roomy(connection), connections.watched(connection, on_the_way):
        for statement in _FORGET:
            connection.execute(statement)
        insert, delete = _REMEMBER_ID
        connection.execute(insert, (highest,))
        connection.execute(delete)
        connection.executemany(
            "INSERT INTO groups (id, name, created_at) VALUES (?, ?, ?)",
            backup.execute(GROUPS, (highest,)),
        )
        connection.executemany(
            "INSERT INTO group_topics (group_id, topic) VALUES (?, ?)",
            backup.execute(TOPICS, (highest,)),
        )


@contextmanager
def _roomy(connection: Connection) -> Iterator[None]:
    """Keep in memory the pages that all topics touch: the common cache would be filled anew."""
    (usual,) = connection.execute("PRAGMA cache_size").fetchone()
    connection.execute(f"PRAGMA cache_size = -{_KIB_OF_CACHE}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA cache_size = {usual}")


def highest_id(connection: Connection) -> int:
    """Return the highest id that a group has ever had."""
    (highest,) = connection.execute(_HIGHEST_ID).fetchone()
    return int(highest)


@contextmanager
def sound_copy(
    path: str | os.PathLike[str],
    draft: Path,
    on_the_way: Callable[[], None] | None = None,
    itself: tuple[int, int] | None = None,
) -> Iterator[Connection]:
    """Give a copy of a backup that is sound and of the newest revision; it is removed after.

    Raises `StorageFailed` where the file is no sound backup of ours, or the database ``itself``.
    """
    try:
        with _telling(path):
            backup = _locate(path)
            if itself is not None and backup.identity() == itself:
                raise StartFailed(backup.shown, "it is the database itself")
            create_for_owner(draft)
            copy = Location(backup.shown, str(draft))
            with _opened(backup) as connection:
                progress = None if on_the_way is None else lambda *_: on_the_way()
                copies.copy_pages(connection, draft, progress)
            with closing(connections.open_settled(copy, 0)) as connection:
                found = schema.read_revision(connection, copy)
            if found != revisions.HEAD:
                schema.upgrade(copy, _PATIENCE)
            sound = connections.open_settled(copy, 0)
        with closing(sound):
            with _telling(path):
                _judge(sound, copy, on_the_way)
            yield sound
    finally:
        try:
            _remove(draft)
        finally:  # an interrupt may have cut that short
            _remove(draft)


def _remove(draft: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        Path(f"{draft}{ending}").unlink(missing_ok=True)


def refuse_unsound(path: str | os.PathLike[str]) -> None:
    """Raise `StorageFailed` where the file is no sound backup of ours."""
    with _telling(path):
        backup = _locate(path)
        with _opened(backup) as connection:
            _judge(connection, backup)


def _locate(path: str | os.PathLike[str]) -> Location:
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"A backup is a str or an os.PathLike, not {path!r}.")
    return Location(name, absolute(name))


@contextmanager
def _opened(backup: Location) -> Iterator[Connection]:
    """Open a backup without a change to it, or to the folder around it."""
    state = state_of(backup)
    backup.refuse_what_leads_elsewhere()
    if backup.has_journal() and backup.journal.stat().st_size:
        raise StartFailed(
            backup.shown, f"{backup.journal.name!r} beside it says that somebody is writing to it"
        )
    live = backup.has_wal() and backup.wal.stat().st_size > 0
    opened = connections.look if live else connections.open_settled
    with closing(opened(backup, _PATIENCE)) as connection:
        if schema.read_revision(connection, backup) is None:
            raise StartFailed(backup.shown, "it is empty")
        yield connection
    if not live and (state_of(backup) != state or (backup.has_wal() and backup.wal.stat().st_size)):
        raise StartFailed(backup.shown, "it was written while it was read")


def _judge(
    connection: Connection, backup: Location, on_the_way: Callable[[], None] | None = None
) -> None:
    problems = copies.problems(connection, on_the_way)
    if problems:
        others = f" ({len(problems)} problems in all)" if len(problems) > 1 else ""
        raise StartFailed(backup.shown, f"it is not sound{others}: {problems[0].rstrip('.')}")


@contextmanager
def _telling(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say of whatever keeps the block from its end that the backup was not restored."""
    try:
        yield
    except StartFailed as error:
        raise _failed(path, error.reason) from error
    except DBAPIError as error:
        raise _failed(path, sqlite_errors.reason(error.orig or error)) from error
    except sqlite.Errors as error:
        raise _failed(path, sqlite_errors.reason(error)) from error
    except (OSError, ValueError) as error:
        raise _failed(path, getattr(error, "strerror", None) or str(error)) from error


def _failed(path: str | os.PathLike[str], reason: str) -> StorageFailed:
    return StorageFailed(f"The backup {os.fspath(path)!r} was not restored: {reason}.")
