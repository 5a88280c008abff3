"""Putting what a backup holds in the place of all that a database holds.

The backup is copied to a draft, and the draft is judged, migrated and read from: the backup stays
as it is, and what was judged is what is restored, whoever writes to the backup meanwhile.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from beryl_groups import revisions, sqlite
from beryl_groups.errors import StartFailed, StorageFailed
from beryl_groups.sqlite import connections, copies, references, schema
from beryl_groups.sqlite import errors as sqlite_errors
from beryl_groups.sqlite.drafts import NoDraft, draft_beside
from beryl_groups.sqlite.files import (
    absolute,
    create_for_owner,
    in_lower_case,
    named,
    shown_path,
)
from beryl_groups.sqlite.location import Location
from beryl_groups.sqlite.only_name import refuse_other_names, refuse_wal_elsewhere
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
_FORGET_ID = "DELETE FROM sqlite_sequence WHERE name = 'groups'"
_REMEMBER_ID = "INSERT INTO sqlite_sequence (name, seq) VALUES ('groups', ?)"

_LEFT = "SELECT id, name FROM groups"
_INSERT_GROUP = """
    INSERT INTO groups (id, name, created_at) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET created_at = excluded.created_at
"""
_INSERT_TOPIC = "INSERT INTO group_topics (group_id, topic) VALUES (?, ?)"

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
    with (
        sound_copy(path, store.location, on_the_way) as backup,
        store.transaction(synced=True) as session,
    ):
        session.write(_replace, backup, path, on_the_way)


def _replace(
    connection: Connection,
    backup: Connection,
    path: str | os.PathLike[str],
    on_the_way: Callable[[], None] | None,
) -> None:
    # A restored group is another one than the group that had its id: none is given twice.
    highest = max(highest_id(connection), highest_id(backup))
    with _roomy(connection), connections.watched(connection, on_the_way):
        referred = references.to_groups(connection)
        restored = backup.execute(GROUPS, (highest,)) if referred else ()
        new_ids = {name: id_ for id_, name, _ in restored}
        if (reason := references.lost(connection, referred, new_ids)) is not None:
            raise _failed(path, reason)
        connection.execute("DELETE FROM group_topics")
        connection.execute(references.but_these("DELETE FROM groups", referred))
        kept = {new_ids[name]: id_ for id_, name in connection.execute(_LEFT).fetchall()}
        connection.executemany(_INSERT_GROUP, backup.execute(GROUPS, (highest,)))
        topics = backup.execute(TOPICS, (highest,))
        connection.executemany(
            _INSERT_TOPIC,
            ((kept.get(id_, id_), topic) for id_, topic in topics) if kept else topics,
        )
        ((number,),) = backup.execute("SELECT count(*) FROM groups").fetchall()
        connection.execute(_FORGET_ID)
        connection.execute(_REMEMBER_ID, (highest + number,))


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
    path: str | os.PathLike[str], beside: Location, on_the_way: Callable[[], None] | None = None
) -> Iterator[Connection]:
    """Give a copy of a backup that is sound and of the newest revision; it is removed after.

    It is made beside a database, for a folder for temporary files may be missing or too small.
    Raises `StorageFailed` where the file is no sound backup of ours, or that database itself.
    """
    with _telling(path):
        backup = _locate(path)
        if (itself := beside.identity()) is not None and backup.identity() == itself:
            raise StartFailed(backup.shown, "it is the database itself")
    try:
        with draft_beside(beside.wal) as draft:
            copy = Location(backup.shown, str(draft))
            with _telling(path, copy):
                _copy_current(backup, copy, on_the_way)
                sound = connections.open_settled(copy, 0)
            with closing(sound):
                with _telling(path, copy):
                    _judge(sound, copy, on_the_way)
                yield sound
    except NoDraft as error:
        raise _failed(path, f"no copy of it can be made beside the database: {error}") from error


def _copy_current(backup: Location, copy: Location, on_the_way: Callable[[], None] | None) -> None:
    """Copy a backup to an empty file, and bring that to the newest revision."""
    with _opened(backup, copy) as connection:
        progress = None if on_the_way is None else lambda *_: on_the_way()
        copies.copy_pages(connection, Path(copy.path), progress)
    with closing(connections.open_settled(copy, 0)) as connection:
        found = schema.read_revision(connection, copy)
    if found != revisions.HEAD:
        schema.upgrade(copy, _PATIENCE)


def refuse_unsound(path: str | os.PathLike[str], beside: Location) -> None:
    """Raise `StorageFailed` where the file is no sound backup of ours, to be restored there."""
    with _telling(path):
        backup = _locate(path)
        with _opened(backup, beside) as connection:
            _judge(connection, backup)


def _locate(path: str | os.PathLike[str]) -> Location:
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"A backup is a str or an os.PathLike, not {path!r}.")
    return Location(name, absolute(named(name)))


@contextmanager
def _opened(backup: Location, beside: Location) -> Iterator[Connection]:
    """Open a backup without a change to it, or to the folder around it."""
    state = _state(backup)
    if not backup.may_be_read():
        raise StartFailed(backup.shown, "permission to read it is denied")
    backup.refuse_what_leads_elsewhere()
    refuse_other_names(backup)
    refuse_wal_elsewhere(backup)
    if backup.has_journal() and backup.journal.stat().st_size:
        raise StartFailed(
            backup.shown, f"{backup.journal.name!r} beside it says that somebody is writing to it"
        )
    live = backup.has_commits_in_wal() and not backup.has_wal_of_old()
    with ExitStack() as stack:
        found = backup
        if backup.has_commits_in_wal() and not live:
            found = stack.enter_context(_recovered(backup, beside))
        opened = connections.look if live else connections.open_settled
        try:
            connection = stack.enter_context(closing(opened(found, _PATIENCE)))
            revision = schema.read_revision(connection, backup)
        except sqlite.Errors as error:
            reason = sqlite_errors.reason_to_refuse(error, backup, _PATIENCE)
            raise StartFailed(backup.shown, reason) from error
        if revision is None:
            raise StartFailed(backup.shown, "it is empty")
        yield connection
    if not live and _state(backup) != state:
        raise StartFailed(backup.shown, "it was written while it was read")


def _state(backup: Location) -> tuple[object, ...]:
    """Return what changes when somebody writes to the file, or has begun to."""
    with suppress(OSError):
        wal = backup.wal.stat()
        if wal.st_size:
            return (*state_of(backup), wal.st_ino, wal.st_size, wal.st_mtime_ns)
    return state_of(backup)


@contextmanager
def _recovered(backup: Location, beside: Location) -> Iterator[Location]:
    """Give a copy of a backup beside which a WAL lies that nobody has open, with what that holds.

    Whoever reads such a file itself leaves another beside it, which is in the way of others.
    """
    with draft_beside(beside.wal) as draft:
        copy = Location(backup.shown, str(draft))
        shutil.copyfile(backup.path, copy.path)
        create_for_owner(copy.wal)
        shutil.copyfile(backup.wal, copy.wal)
        connections.open_connection(copy, 0, "off").close()
        yield copy


def _judge(
    connection: Connection, backup: Location, on_the_way: Callable[[], None] | None = None
) -> None:
    problems = copies.reasons_not_to_restore(connection, on_the_way)
    if problems:
        others = f" ({len(problems)} problems in all)" if len(problems) > 1 else ""
        raise StartFailed(backup.shown, f"it is not sound{others}: {problems[0].rstrip('.')}")


@contextmanager
def _telling(path: str | os.PathLike[str], copy: Location | None = None) -> Iterator[None]:
    """Say of whatever keeps the block from its end that the backup was not restored.

    Where a copy of it is written the system is asked what keeps it from that.
    """
    try:
        yield
    except StartFailed as error:
        raise _failed(path, error.reason) from error
    except NoDraft as error:
        raise _no_copy(path, error) from error
    except copies.NotCopied as error:
        raise _failed(path, str(error)) from error.__cause__
    except DBAPIError as error:
        raise _failed(path, sqlite_errors.reason(error.orig or error, copy)) from error
    except sqlite.Errors as error:
        raise _failed(path, sqlite_errors.reason(error, copy)) from error
    except (OSError, ValueError) as error:
        raise _failed(path, in_lower_case(error)) from error


def _no_copy(path: str | os.PathLike[str], error: NoDraft) -> StorageFailed:
    return _failed(path, f"no copy of it can be made beside the database: {error}")


def _failed(path: str | os.PathLike[str], reason: str) -> StorageFailed:
    return StorageFailed(f"The backup {shown_path(path)} was not restored: {reason}.")
