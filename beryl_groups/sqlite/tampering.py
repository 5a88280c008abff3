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

from beryl_groups import statements
from beryl_groups.errors import StartFailed
from beryl_groups.sqlite import connections
from beryl_groups.tables import metadata

if TYPE_CHECKING:
    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.location import Location

TABLES = {
    "0001": {
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
    },
}
"""The tables of each revision, as SQLite keeps what its migrations said."""

_SEARCH = """
    SELECT type, name, sql FROM sqlite_schema
    WHERE tbl_name COLLATE NOCASE IN ('groups', 'group_topics', 'alembic_version')
"""
_ANY_TRIGGER = "SELECT 1 FROM sqlite_schema WHERE sql LIKE '%trigger%'"

_WRITES = (
    statements.CREATE,
    statements.RENAME,
    statements.DELETE,
    statements.ADD,
    statements.ADD_TO_NAME,
    statements.REMOVE,
    "INSERT INTO alembic_version VALUES (?)",
    "UPDATE alembic_version SET version_num = ?",
    "DELETE FROM alembic_version WHERE version_num = ?",
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
    version = tables.get("alembic_version")
    if version is None:
        raise StartFailed(location.shown, "it has no table alembic_version with its revision")
    if not version.replace('"', "").startswith("CREATE TABLE alembic_version"):
        raise _altered("alembic_version", location)
    return tables


def refuse_altered(
    connection: Connection, tables: dict[str, str], revision: str, location: Location
) -> None:
    """Raise `StartFailed` where a table is not as the migrations made it, or a trigger would run.

    SQLite itself shows which would: one on our tables, or on another that goes with them by a
    foreign key. It is asked only where there is a trigger at all.
    """
    for name, made in TABLES.get(revision, {}).items():
        sql = tables.get(name, "")
        if sql != made and _as_compared(sql) not in {_as_compared(made), _as_made_here(name)}:
            raise _altered(name, location)
    if connection.execute(_ANY_TRIGGER).fetchall():
        for name in _set_off(connection):
            reason = f"somebody's trigger {name!r} would run with what is written"
            raise StartFailed(location.shown, reason)


def _set_off(connection: Connection) -> list[str]:
    """Return the triggers that our statements would have run: the notes of EXPLAIN name each."""
    connections.see_triggers(connection, visible=True)
    try:
        notes = [
            str(row[5])
            for statement in _WRITES
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
