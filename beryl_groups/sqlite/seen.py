"""What was seen of the groups last, and how it differs from what there is.

It is in a database that a connection to the file has attached as `seen`.

A group is told apart by its id, which is never given twice. A restored group has another one, but
the name and the moment of creation of what was there before: it is the same group.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from beryl_groups.changes import Difference, again, deltas

if TYPE_CHECKING:
    from collections.abc import Set

    from beryl_groups.engine import Range
    from beryl_groups.sqlite.connections import Connection

    Group = tuple[str, str]  # its name, and when it was created

TABLES = """
    CREATE TABLE IF NOT EXISTS seen.ranges (
        lowest TEXT, above, PRIMARY KEY (lowest, above)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS seen.groups (id INTEGER PRIMARY KEY, name TEXT, created_at TEXT);
    CREATE TABLE IF NOT EXISTS seen.topics (
        group_id INTEGER, topic TEXT, PRIMARY KEY (group_id, topic)
    ) WITHOUT ROWID;
"""
_ABOVE_ALL_TEXT = b""  # SQLite orders every blob after every text

_NEW_IN_RANGE = """
    FROM main.groups WHERE name >= ? AND name < ? AND id NOT IN (SELECT id FROM seen.groups)
    AND NOT EXISTS (SELECT 1 FROM seen.ranges WHERE name >= lowest AND name < above)
"""
_TOPICS_OF_NEW = "SELECT group_id, topic FROM main.group_topics WHERE group_id IN (SELECT id "
_TAKE_FOR_SEEN = (
    "INSERT INTO seen.topics " + _TOPICS_OF_NEW + _NEW_IN_RANGE + ")",
    "INSERT INTO seen.groups SELECT id, name, created_at " + _NEW_IN_RANGE,
)
_BEGIN_RANGE = "INSERT INTO seen.ranges VALUES (?, ?)"
_END_RANGE = "DELETE FROM seen.ranges WHERE lowest = ? AND above = ?"
_FORGET_WHAT_IS_IN_NONE = (
    """DELETE FROM seen.groups
    WHERE NOT EXISTS (SELECT 1 FROM seen.ranges WHERE name >= lowest AND name < above)""",
    "DELETE FROM seen.topics WHERE group_id NOT IN (SELECT id FROM seen.groups)",
)

# As SQLite walks through both sides in the order of their keys, it need not keep either.
_FOUND_TOPICS = """
    SELECT group_id, topic FROM main.group_topics
    WHERE group_id IN (SELECT id FROM seen.groups)
"""
_SEEN_TOPICS = "SELECT group_id, topic FROM seen.topics"
_ADDED = f"{_FOUND_TOPICS} EXCEPT {_SEEN_TOPICS} ORDER BY 1, 2"
_REMOVED = f"{_SEEN_TOPICS} EXCEPT {_FOUND_TOPICS} ORDER BY 1, 2"
_FOUND_GROUPS = """
    SELECT DISTINCT id, name, created_at
    FROM seen.ranges CROSS JOIN main.groups AS found ON name >= lowest AND name < above
    WHERE NOT EXISTS (
        SELECT 1 FROM seen.groups AS seen
        WHERE seen.id = found.id AND seen.name = found.name AND seen.created_at = found.created_at
    )
"""
_SEEN_GROUPS = """
    SELECT id, name, created_at FROM seen.groups AS seen
    WHERE NOT EXISTS (
        SELECT 1 FROM main.groups AS found
        WHERE seen.id = found.id AND seen.name = found.name AND seen.created_at = found.created_at
    )
"""
_FORGET_GROUP = "DELETE FROM seen.groups WHERE id = ?"
_SEE_GROUP = "INSERT INTO seen.groups VALUES (?, ?, ?)"
_RENUMBER = "UPDATE seen.topics SET group_id = ? WHERE group_id = ?"
_FORGET_TOPIC = "DELETE FROM seen.topics WHERE group_id = ? AND topic = ?"
_SEE_TOPIC = "INSERT INTO seen.topics VALUES (?, ?)"
_NAME = "SELECT name FROM seen.groups WHERE id = ?"
_TOPICS = "SELECT topic FROM seen.topics WHERE group_id = ?"


def change_ranges(connection: Connection, old: Set[Range], new: Set[Range]) -> None:
    """Take what is in a range only now for seen, and forget what is in none any more."""
    begun, ended = [
        [(lowest, _ABOVE_ALL_TEXT if above is None else above) for lowest, above in ranges]
        for ranges in (new - old, old - new)
    ]
    for bounds in begun:
        for statement in _TAKE_FOR_SEEN:
            connection.execute(statement, bounds)
    connection.executemany(_BEGIN_RANGE, begun)  # at last: each is compared with the old ones alone
    connection.executemany(_END_RANGE, ended)
    if ended:
        for statement in _FORGET_WHAT_IS_IN_NONE:
            connection.execute(statement)


def see(connection: Connection) -> Difference:
    """Return what became of the groups, and make what was seen the same as what is there."""
    gone, come = _groups(connection, _SEEN_GROUPS), _groups(connection, _FOUND_GROUPS)
    same = again(gone, come)
    connection.executemany(_FORGET_GROUP, [(id_,) for id_ in gone])
    connection.executemany(_SEE_GROUP, [(id_, *group) for id_, group in come.items()])
    connection.executemany(_RENUMBER, [(new, old) for old, new in same.items()])
    added = connection.execute(_ADDED).fetchall()
    removed = connection.execute(_REMOVED).fetchall()
    connection.executemany(_FORGET_TOPIC, removed)
    connection.executemany(_SEE_TOPIC, added)
    before = {same.get(id_, id_): name for id_, (name, _) in gone.items()}
    after = {id_: name for id_, (name, _) in come.items()}
    plus, minus = _by_group(connection, added), _by_group(connection, removed)
    found = deltas(before, after, plus, minus, partial(_group, connection))
    return Difference(found, same)


def _groups(connection: Connection, statement: str) -> dict[int, Group]:
    rows = connection.execute(statement).fetchall()
    connection.texts([name for _, name, _ in rows])
    return {id_: (name, created_at) for id_, name, created_at in rows}


def _by_group(connection: Connection, rows: list[tuple[int, str]]) -> dict[int, frozenset[str]]:
    connection.texts([topic for _, topic in rows])
    return {
        id_: frozenset([topic for _, topic in group]) for id_, group in groupby(rows, itemgetter(0))
    }


def _group(connection: Connection, id_: int) -> tuple[str, frozenset[str]]:
    (name,) = connection.execute(_NAME, (id_,)).fetchone()
    return name, topics(connection, id_)


def topics(connection: Connection, id_: int) -> frozenset[str]:
    rows = connection.execute(_TOPICS, (id_,)).fetchall()
    return frozenset([topic for (topic,) in rows])
