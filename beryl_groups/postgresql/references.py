"""Rows of a program's own in the same database that refer to groups by a foreign key.

All groups are replaced by a restore. To a row that refers to one, the group of that name is still
the same: it keeps its id, and nothing comes about that the foreign key says of a deletion. Where
the backup has no such group the row would refer to nothing, and the restore is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from beryl_groups.postgresql.connections import Connection

Conditions = dict[str, str]
"""For each foreign key, by its table, what is true of a row of ``groups`` that it refers to."""

# Partitions have keys of their own that follow from that of their table.
_KEYS = """
    SELECT c.conname, quote_ident(n.nspname) || '.' || quote_ident(t.relname),
        array(SELECT quote_ident(a.attname)
            FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number
            ORDER BY k.place),
        array(SELECT a.attname::text
            FROM unnest(c.confkey) WITH ORDINALITY AS k(number, place)
            JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number
            ORDER BY k.place)
    FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = $1::text::regclass
    AND c.conrelid <> 'beryl_groups.group_topics'::regclass
    ORDER BY 2, 1
"""


def to_groups(connection: Connection) -> Conditions:
    """Find the foreign keys that refer to groups, which are to one column."""
    return {
        f"{table}|{key}": f"{to} IN (SELECT {column} FROM {table} WHERE {column} IS NOT NULL)"  # noqa: S608
        for key, table, (column, *_), (to, *_) in connection.rows(_KEYS, "beryl_groups.groups")
    }


def kept(connection: Connection, conditions: Conditions) -> dict[str, int]:
    """Return the ids of the groups that any row refers to, by their names."""
    if not conditions:
        return {}
    referred = " OR ".join(conditions.values())
    rows = connection.rows(f"SELECT name, id FROM beryl_groups.groups WHERE {referred}")  # noqa: S608
    return dict(rows)


def lost(connection: Connection, conditions: Conditions, names: Container[str]) -> str | None:
    """Say which table refers to a group that is none of these names, or to a topic of a group."""
    for key, condition in conditions.items():
        query = f"SELECT name FROM beryl_groups.groups WHERE {condition} ORDER BY name"  # noqa: S608
        for (name,) in connection.rows(query):
            if name not in names:
                return (
                    f"the table {key.partition('|')[0]} refers by a foreign key to the group "
                    f"{name!r}, which it does not hold"
                )
    for _, table, columns, _ in connection.rows(_KEYS, "beryl_groups.group_topics"):
        bound = " AND ".join(f"{column} IS NOT NULL" for column in columns)
        if connection.rows(f"SELECT 1 FROM {table} WHERE {bound} LIMIT 1"):  # noqa: S608
            return f"the table {table} refers by a foreign key to topics of groups"
    return None
