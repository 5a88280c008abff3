"""Backups, which are files of ours in SQLite, and putting back what one holds.

So a backup is also the way from SQLite to PostgreSQL, and back. Neither direction holds more than
a few rows in memory, but for the number of each restored group.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING, Any

from beryl_groups.errors import StorageFailed
from beryl_groups.postgresql import references
from beryl_groups.sqlite import exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import psycopg

    from beryl_groups.postgresql.connections import Connection
    from beryl_groups.postgresql.database import Database

    Progress = Callable[[int, int, int], None]

_GROUPS = "SELECT id, name, created_at FROM beryl_groups.groups ORDER BY id"
_TOPICS = "SELECT group_id, topic FROM beryl_groups.group_topics ORDER BY group_id, topic"
_COUNT = """
    SELECT (SELECT count(*) FROM beryl_groups.groups)
        + (SELECT count(*) FROM beryl_groups.group_topics)
"""

# What was restored is on disk when it returns, whatever the handle says of its other writes.
_SYNCED = """
    SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') = 'off'
"""
# Not TRUNCATE, which would have those who read wait.
_FORGET_TOPICS = "DELETE FROM beryl_groups.group_topics"
_FORGET_GROUPS = "DELETE FROM beryl_groups.groups WHERE name <> ALL($1::text[])"
_KEEP = "UPDATE beryl_groups.groups SET created_at = $1 WHERE name = $2"
_NEW_IDS = """
    SELECT nextval(pg_get_serial_sequence('beryl_groups.groups', 'id'))
    FROM generate_series(1, $1::int)
"""
_GROUPS_IN = "COPY beryl_groups.groups (id, name, created_at) FROM STDIN"
_TOPICS_IN = "COPY beryl_groups.group_topics (group_id, topic) FROM STDIN"

_ROWS_OF_A_STEP = 10_000


def backup(
    connection: Connection, path: str | os.PathLike[str], progress: Progress | None = None
) -> None:
    """Write all groups, as of one moment, to a new file.

    ``progress(status, rows left, rows in all)`` is called on the way.
    """
    with connection.moment():
        ((total,),) = connection.rows(_COUNT) if progress is not None else ((0,),)
        with connection.plain() as link:
            exchange.write_backup(path, _Content(link, progress, total))


class _Content:
    """What the server holds, as the backup asks for it."""

    def __init__(
        self, link: psycopg.Connection[Any], progress: Progress | None, total: int
    ) -> None:
        self._link = link
        self._progress = progress
        self._total = total
        self._done = 0

    def groups(self) -> Iterator[Any]:
        return self._rows(_GROUPS, "int8", "text", "text")

    def topics(self) -> Iterator[Any]:
        return self._rows(_TOPICS, "int8", "text")

    def _rows(self, query: str, *types: str) -> Iterator[Any]:
        with self._link.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            copy.set_types(types)
            for row in copy.rows():
                yield row
                self._done += 1
                if self._progress is not None and self._done % _ROWS_OF_A_STEP == 0:
                    self._progress(0, self._total - self._done, self._total)


def restore(
    database: Database, path: str | os.PathLike[str], on_the_way: Callable[[], None] | None = None
) -> None:
    """Replace all groups by those of the backup, in one transaction."""
    with (
        exchange.sound_backup(path, on_the_way) as content,
        database.transaction() as session,
    ):
        session.write(_replace, content, path, on_the_way)


def _replace(
    connection: Connection,
    content: exchange.Backup,
    path: str | os.PathLike[str],
    on_the_way: Callable[[], None] | None,
) -> None:
    connection.rows(_SYNCED)
    referring = references.to_groups(connection)
    kept = references.kept(connection, referring)
    held = {name for _, name, _ in content.groups() if name in kept}
    if (reason := references.lost(connection, referring, held)) is not None:
        raise StorageFailed(f"The backup {os.fspath(path)!r} was not restored: {reason}.")
    connection.count(_FORGET_TOPICS)
    connection.count(_FORGET_GROUPS, list(kept))
    groups, _ = content.count()
    ids = _new_ids(connection, groups)
    for number, name, at in content.groups() if kept else ():
        if name in kept:
            ids[number - 1] = kept[name]
            connection.count(_KEEP, at, name)
    with connection.plain() as link:
        restored = (
            (ids[number - 1], name, at) for number, name, at in content.groups() if name not in kept
        )
        _copy_in(link, _GROUPS_IN, restored, on_the_way)
        memberships = ((ids[number - 1], topic) for number, topic in content.topics())
        _copy_in(link, _TOPICS_IN, memberships, on_the_way)


def _new_ids(connection: Connection, number: int) -> array[int]:
    """Return an id for each group: a restored one is another group."""
    ids = array("q")
    while (lacking := number - len(ids)) > 0:
        rows = connection.rows(_NEW_IDS, min(lacking, _ROWS_OF_A_STEP))
        ids.extend(each for (each,) in rows)
    return ids


def _copy_in(
    link: psycopg.Connection[Any],
    statement: str,
    rows: Iterable[tuple[object, ...]],
    on_the_way: Callable[[], None] | None,
) -> None:
    with link.cursor() as cursor, cursor.copy(statement) as copy:
        for done, row in enumerate(rows, 1):
            copy.write_row(row)
            if on_the_way is not None and done % _ROWS_OF_A_STEP == 0:
                on_the_way()
