"""What each call reads and writes: the rules of groups, as functions of a connection.

They take names that have been checked. A function that refuses does so before it has written
anything, so several may run in one transaction and each still stand or fall alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beryl_groups import statements
from beryl_groups.errors import AlreadyExists, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from beryl_groups.engine import Connection


def create(connection: Connection, name: str, exist_ok: bool) -> None:
    if not (connection.rows(statements.CREATE, name) or exist_ok):
        raise AlreadyExists(name)


def delete(connection: Connection, name: str, missing_ok: bool) -> None:
    if not (connection.rows(statements.DELETE, name) or missing_ok):
        raise NotFound(name)


def rename(connection: Connection, name: str, new_name: str) -> None:
    group_id = _group_id(connection, name)
    if contains(connection, new_name):
        raise AlreadyExists(new_name)
    connection.count(statements.RENAME, new_name, group_id)


def add(connection: Connection, name: str, topics: Sequence[str]) -> None:
    if len(topics) == 1:  # as most often, and then one statement does it
        if not connection.count(statements.ADD_TO_NAME, topics[0], name):
            _group_id(connection, name)
        return
    group_id = _group_id(connection, name)
    connection.run_many(statements.ADD, [(group_id, topic) for topic in topics])


def create_and_add(connection: Connection, name: str, topics: Sequence[str]) -> None:
    create(connection, name, exist_ok=True)
    add(connection, name, topics)


def remove(connection: Connection, name: str, topics: Iterable[str]) -> None:
    group_id = _group_id(connection, name)
    connection.run_many(statements.REMOVE, [(group_id, topic) for topic in topics])


def set_topics(connection: Connection, name: str, topics: Iterable[str]) -> None:
    group_id = _group_id(connection, name)
    wanted = set(topics)
    rows = connection.rows(statements.TOPICS_OF_ID, group_id)
    present = set(connection.texts([topic for (topic,) in rows]))
    # In order, so that many go page after page and not all over the file.
    gone, new = sorted(present - wanted), sorted(wanted - present)
    connection.run_many(statements.REMOVE, [(group_id, topic) for topic in gone])
    connection.run_many(statements.ADD, [(group_id, topic) for topic in new])


def topics(connection: Connection, name: str) -> frozenset[str]:
    rows = connection.rows(statements.TOPICS, name)
    if not rows:
        raise NotFound(name)
    return frozenset(_topics_in(connection, rows))


def ordered_topics(connection: Connection, name: str) -> tuple[str, ...]:
    """Return the topics of a group in code point order, none where there is no such group."""
    return tuple(sorted(_topics_in(connection, connection.rows(statements.TOPICS, name))))


def groups_of(connection: Connection, topic: str) -> tuple[str, ...]:
    rows = connection.rows(statements.GROUPS_OF, topic)
    return tuple(sorted(connection.texts([name for (name,) in rows])))


def list_groups(
    connection: Connection, lowest: str, end: str | None, limit: int | None
) -> tuple[str, ...]:
    page = (statements.NO_LIMIT if limit is None else limit, 0)
    if end is None:
        rows = connection.rows(statements.LIST_GROUPS, lowest, *page)
    else:
        rows = connection.rows(statements.LIST_GROUPS_BEFORE, lowest, end, *page)
    return tuple(connection.texts([name for (name,) in rows]))


def contains(connection: Connection, name: str) -> bool:
    return bool(connection.rows(statements.GROUP_ID, name))


def count(connection: Connection) -> int:
    ((number,),) = connection.rows(statements.LENGTH)
    return int(number)


def ordered_union(connection: Connection, *names: str) -> tuple[str, ...]:
    """Return the topics of all these groups, each once and in order, as of one moment."""
    with connection.moment():
        found: set[str] = set()
        for name in names:
            found.update(_topics_in(connection, connection.rows(statements.TOPICS, name)))
    return tuple(sorted(found))


def _topics_in(connection: Connection, rows: list[tuple[Any, ...]]) -> list[str]:
    return connection.texts([topic for (topic,) in rows if topic is not None])


def _group_id(connection: Connection, name: str) -> int:
    for (group_id,) in connection.rows(statements.GROUP_ID, name):
        return int(group_id)
    raise NotFound(name)
