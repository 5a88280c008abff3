"""Backups, which are files of ours in SQLite, and putting back what one holds.

So a backup is also the way from SQLite to PostgreSQL, and back. Neither direction holds more than
a few rows in memory, but for the number of each restored group.
"""

from __future__ import annotations

import itertools
from array import array
from typing import TYPE_CHECKING, Any

from beryl_groups.errors import StorageFailed
from beryl_groups.postgresql import references
from beryl_groups.sqlite import exchange
from beryl_groups.sqlite.files import shown_path

if TYPE_CHECKING:
    import os
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
# The server numbers them: to take numbers for them asks for more rights than to insert does.
_GROUPS_IN = """
    INSERT INTO beryl_groups.groups (name, created_at)
    SELECT name, created_at FROM unnest($1::text[], $2::text[]) AS restored (name, created_at)
    RETURNING name, id
"""
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
        raise StorageFailed(f"The backup {shown_path(path)} was not restored: {reason}.")
    connection.count(_FORGET_TOPICS)
    connection.count(_FORGET_GROUPS, list(kept))
    ids = array("q")  # of each restored group, which is another than the one that had its name
    groups = content.groups()
    while page := list(itertools.islice(groups, _ROWS_OF_A_STEP)):
        ids.extend(_ids_of(connection, page, kept))
        if on_the_way is not None:
            on_the_way()
    with connection.plain() as link:
        memberships = ((ids[number - 1], topic) for number, topic in content.topics())
        _copy_in(link, _TOPICS_IN, memberships, on_the_way)


def _ids_of(
    connection: Connection, page: list[tuple[int, str, str]], kept: dict[str, int]
) -> list[int]:
    """Store some groups, or have them kept, and return the id of each."""
    # What the shell of SQLite shows of a text, and all that the server can take, ends at a NUL.
    came = {name: at.partition("\0")[0] for _, name, at in page}
    for name in came.keys() & kept.keys():
        connection.count(_KEEP, came[name], name)
    new = [name for name in came if name not in kept]
    made = dict(connection.rows(_GROUPS_IN, new, [came[name] for name in new]))
    return [kept[name] if name in kept else made[name] for name in came]


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
