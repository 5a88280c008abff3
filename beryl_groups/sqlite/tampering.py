"""Whether a file's tables are as the migrations made them, and nothing hangs on them that acts.

Tables, views and indices of a user's own beside ours do no harm. What would make the same calls
mean something else does: a trigger that they set off, a unique index, for which rows would be left
out in silence, another column, type, collation or CHECK, a view or a virtual table in their place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.schema import CreateTable

from beryl_groups import revisions, statements
from beryl_groups.errors import StartFailed
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.core import SQL
from beryl_groups.tables import metadata

if TYPE_CHECKING:
    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.location import Location

_MADE_FIRST = {
    "groups": (
        "CREATE TABLE groups (\n\tid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, \n"
        "\tname TEXT NOT NULL, \n"
        "\tcreated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) NOT NULL, \n"
        "\tUNIQUE (name)\n)\n STRICT\n\n"
    ),
    "group_topics": (
        "CREATE TABLE group_topics (\n\tgroup_id INTEGER NOT NULL, \n"
        "\ttopic TEXT NOT NULL, \n\tPRIMARY KEY (group_id, topic), \n"
        "\tFOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE CASCADE\n)\n"
        " WITHOUT ROWID,\n STRICT\n\n"
    ),
}
TABLES = {"0001": _MADE_FIRST, "0002": _MADE_FIRST}
"""The tables of each revision, as SQLite keeps what its migrations said."""

_VERSION_TABLE_OF_OLD = "alembic_version"

# The table of old is ours as long as there is none of the new name.
_SEARCH = f"""
    SELECT type, name, sql FROM sqlite_schema WHERE tbl_name COLLATE NOCASE
    IN ('groups', 'group_topics', '{revisions.VERSION_TABLE}', iif(
        EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '{revisions.VERSION_TABLE}'),
        'groups', '{_VERSION_TABLE_OF_OLD}'
    ))
"""  # noqa: S608
_ANY_TRIGGER = "SELECT 1 FROM sqlite_schema WHERE sql LIKE '%trigger%'"

_WRITES = [
    SQL[write]
    for write in (
        statements.CREATE,
        statements.RENAME,
        statements.DELETE,
        statements.ADD,
        statements.ADD_TO_NAME,
        statements.REMOVE,
    )
]
_WRITES_OF_A_REVISION = (
    "INSERT INTO {} VALUES (?)",
    "UPDATE {} SET version_num = ?",
    "DELETE FROM {} WHERE version_num = ?",
)
_MARK_OF_A_TRIGGER = "-- TRIGGER "


def made_tables(connection: Connection, location: Location) -> dict[str, str]:
    """Return the SQL of our tables, or raise `StartFailed` for what could not even be read."""
    tables = {}
    for kind, name, sql in connection.execute(_SEARCH).fetchall():
        if kind == "index" and str(sql).upper().split()[1:2] == ["UNIQUE"]:
            reason = f"the unique index {name!r} of somebody's would keep rows out of its tables"
            raise StartFailed(location.shown, reason)
        if kind in {"table", "view"}:
            tables[name] = str(sql)
    if revisions.VERSION_TABLE in tables:
        if not _is_table(revisions.VERSION_TABLE, tables):
            raise _altered(revisions.VERSION_TABLE, location)
    elif not _is_table(_VERSION_TABLE_OF_OLD, tables):
        reason = f"it has no table {revisions.VERSION_TABLE} with its revision"
        raise StartFailed(location.shown, reason)
    return tables


def are_ours(connection: Connection) -> bool:
    """Tell whether the tables are ours to the letter, in a file that does not say whose it is."""
    tables = {name: str(sql) for _, name, sql in connection.execute(_SEARCH).fetchall()}
    versions = (revisions.VERSION_TABLE, _VERSION_TABLE_OF_OLD)
    return any(_is_table(version, tables) for version in versions) and any(
        all(_is_as_made(name, tables.get(name, ""), sql) for name, sql in made.items())
        for made in TABLES.values()
    )


def has_version_table_of_old(connection: Connection) -> bool:
    """Tell whether the version table is still to get a name of its own."""
    names = {name for _, name, _ in connection.execute(_SEARCH).fetchall()}
    return "groups" in names and revisions.VERSION_TABLE not in names


def leave_version_table_of_old(connection: Connection, revision: str) -> None:
    """Take our revision out of the table that a program's own Alembic may be using."""
    table = _VERSION_TABLE_OF_OLD
    connection.execute(f"DELETE FROM {table} WHERE version_num = ?", (revision,))  # noqa: S608
    if not connection.execute(f"SELECT 1 FROM {table}").fetchall():  # noqa: S608
        connection.execute(f"DROP TABLE {table}")


def _is_table(name: str, tables: dict[str, str]) -> bool:
    return tables.get(name, "").replace('"', "").startswith(f"CREATE TABLE {name}")


def _is_as_made(name: str, sql: str, made: str) -> bool:
    return sql == made or _as_compared(sql) in {_as_compared(made), _as_made_here(name)}


def refuse_altered(
    connection: Connection, tables: dict[str, str], revision: str, location: Location
) -> None:
    """Raise `StartFailed` where a table is not as the migrations made it, or a trigger would run.

    SQLite itself shows which would: one on our tables, or on another that goes with them by a
    foreign key. It is asked only where there is a trigger at all.
    """
    for name, made in TABLES.get(revision, {}).items():
        if not _is_as_made(name, tables.get(name, ""), made):
            raise _altered(name, location)
    if connection.execute(_ANY_TRIGGER).fetchall():
        for name in _set_off(connection, tables):
            reason = f"somebody's trigger {name!r} would run with what is written"
            raise StartFailed(location.shown, reason)


def _set_off(connection: Connection, tables: dict[str, str]) -> list[str]:
    """Return the triggers that our statements would have run: the notes of EXPLAIN name each."""
    versions = [
        write.format(table)
        for table in (revisions.VERSION_TABLE, _VERSION_TABLE_OF_OLD)
        if _is_table(table, tables)
        for write in _WRITES_OF_A_REVISION
    ]
    connections.see_triggers(connection, visible=True)
    try:
        notes = [
            str(row[5])
            for statement in (*_WRITES, *versions)
            for row in connection.execute(
                f"EXPLAIN {statement}", (None,) * statement.count("?")
            ).fetchall()
        ]
    finally:
        connections.see_triggers(connection, visible=False)
    mark = _MARK_OF_A_TRIGGER
    return [note.removeprefix(mark) for note in notes if note.startswith(mark)]


def _as_compared(sql: str) -> str:
    """Return SQL without what may differ from writer to writer: spaces, and quotes of a name."""
    one_line = re.sub(r"\s+", " ", re.sub(r'"(\w+)"', r"\1", sql))
    return re.sub(r" ?([(),]) ?", r"\1", one_line).strip()


def _as_made_here(name: str) -> str:
    """Return the SQL of a table in the words of the SQLAlchemy beneath, which may be its own."""
    table = CreateTable(metadata.tables[name])
    return _as_compared(str(table.compile(dialect=sqlite_dialect())))


def _altered(name: str, location: Location) -> StartFailed:
    return StartFailed(location.shown, f"its table {name!r} is not as beryl_groups made it")
