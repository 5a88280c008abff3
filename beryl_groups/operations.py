"""What each call reads and writes: the rules of groups, as functions of a driver connection.

They take names that have been checked. A function that refuses does so before it has written
anything, so several may run in one transaction and each still stand or fall alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from beryl_groups import statements
from beryl_groups.errors import AlreadyExists, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from beryl_groups.sqlite import Connection

_ABOVE_ALL_TEXT = b""  # SQLite orders every blob after every text


def create(connection: Connection, name: str) -> None:
    if not connection.execute(statements.CREATE, (name,)).fetchall():
        raise AlreadyExists(name)


def delete(connection: Connection, name: str) -> None:
    if not connection.execute(statements.DELETE, (name,)).fetchall():
        raise NotFound(name)


def rename(connection: Connection, name: str, new_name: str) -> None:
    group_id = _group_id(connection, name)
    if contains(connection, new_name):
        raise AlreadyExists(new_name)
    connection.execute(statements.RENAME, (new_name, group_id))


def add(connection: Connection, name: str, topics: Iterable[str]) -> None:
    group_id = _group_id(connection, name)
    connection.executemany(statements.ADD, [(group_id, topic) for topic in topics])


def remove(connection: Connection, name: str, topics: Iterable[str]) -> None:
    group_id = _group_id(connection, name)
    connection.executemany(statements.REMOVE, [(group_id, topic) for topic in topics])


def set_topics(connection: Connection, name: str, topics: Iterable[str]) -> None:
    group_id = _group_id(connection, name)
    wanted = set(topics)
    present = {topic for (topic,) in connection.execute(statements.TOPICS_OF_ID, (group_id,))}
    connection.executemany(statements.REMOVE, [(group_id, topic) for topic in present - wanted])
    connection.executemany(statements.ADD, [(group_id, topic) for topic in wanted - present])


def ordered_topics(connection: Connection, name: str) -> list[str]:
    rows = connection.execute(statements.TOPICS, (name,)).fetchall()
    if not rows:
        raise NotFound(name)
    return [topic for (topic,) in rows if topic is not None]


def topics(connection: Connection, name: str) -> frozenset[str]:
    return frozenset(ordered_topics(connection, name))


def groups_of(connection: Connection, topic: str) -> list[str]:
    return [name for (name,) in connection.execute(statements.GROUPS_OF, (topic,))]


def list_groups(
    connection: Connection, lowest: str, end: str | None, limit: int | None
) -> list[str]:
    above = _ABOVE_ALL_TEXT if end is None else end
    bounds = (lowest, above, -1 if limit is None else limit, 0)
    return [name for (name,) in connection.execute(statements.LIST_GROUPS, bounds)]


def contains(connection: Connection, name: str) -> bool:
    return connection.execute(statements.GROUP_ID, (name,)).fetchone() is not None


def count(connection: Connection) -> int:
    (number,) = connection.execute(statements.LENGTH).fetchone()
    return int(number)


def union(connection: Connection, names: Iterable[str]) -> list[str]:
    """Return the topics of all these groups, each once and in order, as of one moment."""
    own_moment = not connection.in_transaction
    if own_moment:
        connection.execute("BEGIN")
    try:
        found: set[str] = set()
        for name in names:
            rows = connection.execute(statements.TOPICS, (name,))
            found.update(topic for (topic,) in rows if topic is not None)
        return sorted(found)
    finally:
        if own_moment:
            connection.execute("ROLLBACK")


def _group_id(connection: Connection, name: str) -> int:
    row = connection.execute(statements.GROUP_ID, (name,)).fetchone()
    if row is None:
        raise NotFound(name)
    return int(row[0])
