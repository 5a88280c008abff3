"""Rows of a program's own in the same file that refer to groups by a foreign key.

All groups are replaced by a restore. To a row that refers to one, the group of that name is still
the same: it keeps its id, and nothing comes about that the foreign key says of a deletion. Where
the backup has no such group the row would refer to nothing, and the restore is refused.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from beryl_groups.sqlite.connections import Connection

Conditions = dict[str, str]
"""For each table that refers to groups, what is true of a row of ``groups`` that it refers to."""

_KEYS = """
    SELECT own.name, refers.id, lower(coalesce(refers."to", 'id')), refers."from"
    FROM sqlite_schema AS own, pragma_foreign_key_list(own.name) AS refers
    WHERE own.type = 'table' AND own.sql LIKE '%REFERENCES%'
    AND own.name COLLATE NOCASE <> 'group_topics' AND refers."table" COLLATE NOCASE = ?
    ORDER BY own.name, refers.id, refers.seq
"""
_TYPES = {"id": "INTEGER", "name": "TEXT"}


def to_groups(connection: Connection) -> Conditions:
    """Find the tables that refer to groups."""
    found = defaultdict(list)
    for table, _, to, column in connection.execute(_KEYS, ("groups",)).fetchall():
        if to in _TYPES:
            name = _quoted(column)
            found[table].append(
                f"{to} IN (SELECT CAST({name} AS {_TYPES[to]}) FROM {_quoted(table)} "  # noqa: S608
                f"WHERE {name} IS NOT NULL)"
            )
    return {table: " OR ".join(conditions) for table, conditions in found.items()}


def but_these(statement: str, conditions: Conditions) -> str:
    """Return a statement on ``groups`` that leaves those alone that any of the tables refers to."""
    return (
        f"{statement} WHERE NOT ({' OR '.join(conditions.values())})" if conditions else statement
    )


def lost(connection: Connection, conditions: Conditions, names: Collection[str]) -> str | None:
    """Say which table refers to a group that is none of these names, or to a topic of a group."""
    for table, condition in conditions.items():
        query = f"SELECT name FROM groups WHERE {condition} ORDER BY name"  # noqa: S608
        for (name,) in connection.execute(query).fetchall():
            if name not in names:
                return (
                    f"the table {table!r} refers by a foreign key to the group {name!r}, which it "
                    "does not hold"
                )
    for (table, _), bound in _keys_to_topics(connection).items():
        query = f"SELECT 1 FROM {_quoted(table)} WHERE {bound} LIMIT 1"  # noqa: S608
        if connection.execute(query).fetchall():
            return f"the table {table!r} refers by a foreign key to topics of groups"
    return None


def _keys_to_topics(connection: Connection) -> Mapping[tuple[str, int], str]:
    """Return for each foreign key to ``group_topics`` what is true of a row that it binds."""
    found: dict[tuple[str, int], str] = {}
    for table, key, _, column in connection.execute(_KEYS, ("group_topics",)).fetchall():
        bound = f"{_quoted(column)} IS NOT NULL"
        found[table, key] = f"{found[table, key]} AND {bound}" if (table, key) in found else bound
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
