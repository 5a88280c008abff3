"""Rows of a program's own in the same database that refer to groups by a foreign key.

As in a file of ours: to such a row the group of that name is still the same after a restore, and
one that would refer to nothing refuses it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from beryl_groups.postgresql.connections import Connection

Conditions = dict[str, str]
"""For each table that refers to groups, what is true of a row of ``groups`` that it refers to."""

# The tables and columns come quoted. Of a partitioned table its parts have each a key of their own.
_TO_GROUPS = """
    SELECT own.conrelid::regclass::text, quote_ident(child.attname), quote_ident(parent.attname)
    FROM pg_constraint AS own
    JOIN pg_attribute AS child ON child.attrelid = conrelid AND child.attnum = conkey[1]
    JOIN pg_attribute AS parent ON parent.attrelid = confrelid AND parent.attnum = confkey[1]
    WHERE contype = 'f' AND conparentid = 0 AND confrelid = 'beryl_groups.groups'::regclass
    AND conrelid <> 'beryl_groups.group_topics'::regclass
    ORDER BY 1, 2
"""
_TO_TOPICS = """
    SELECT own.conrelid::regclass::text, string_agg(quote_ident(attname) || ' IS NOT NULL', ' AND ')
    FROM pg_constraint AS own JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
    WHERE contype = 'f' AND conparentid = 0 AND confrelid = 'beryl_groups.group_topics'::regclass
    GROUP BY own.oid, own.conrelid ORDER BY 1
"""


def to_groups(connection: Connection) -> Conditions:
    """Find the tables that refer to groups."""
    found = defaultdict(list)
    for table, child, parent in connection.rows(_TO_GROUPS):
        found[table].append(f"{parent} IN (SELECT {child} FROM {table})")  # noqa: S608
    return {table: " OR ".join(conditions) for table, conditions in found.items()}


def left(connection: Connection, conditions: Conditions) -> dict[str, int]:
    """Return the groups to which any of the tables refers, by name."""
    if not conditions:
        return {}
    query = f"SELECT name, id FROM beryl_groups.groups WHERE {_any(conditions)}"  # noqa: S608
    return dict(connection.rows(query))


def lost(connection: Connection, conditions: Conditions, names: Collection[str]) -> str | None:
    """Say which table refers to a group that is none of these names, or to a topic of a group."""
    for table, condition in conditions.items():
        query = f"SELECT name FROM beryl_groups.groups WHERE {condition} ORDER BY 1"  # noqa: S608
        for (name,) in connection.rows(query):
            if name not in names:
                return (
                    f"the table {table} refers by a foreign key to the group {name!r}, which it "
                    "does not hold"
                )
    for table, bound in connection.rows(_TO_TOPICS):
        if connection.rows(f"SELECT 1 FROM {table} WHERE {bound} LIMIT 1"):  # noqa: S608
            return f"the table {table} refers by a foreign key to topics of groups"
    return None


def _any(conditions: Conditions) -> str:
    return " OR ".join(conditions.values())
