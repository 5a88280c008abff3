"""What each call reads and writes: the rules of groups, as functions of a driver connection.

They take names that have been checked. A function that refuses does so before it has written
anything, so several may run in one transaction and each still stand or fall alone. Rows are fetched
at once: a cursor that has a name would be held by the traceback of an error, and hold the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from beryl_groups import sqlite, statements
from beryl_groups.errors import AlreadyExists, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from beryl_groups.sqlite.cache import Touched
    from beryl_groups.sqlite.connections import Connection

_ABOVE_ALL_TEXT = b""  # SQLite orders every blob after every text


def create(connection: Connection, name: str, exist_ok: bool) -> None:
    if not (connection.execute(statements.CREATE, (name,)).fetchall() or exist_ok):
        raise AlreadyExists(name)


def delete(connection: Connection, name: str, missing_ok: bool) -> None:
    if not (connection.execute(statements.DELETE, (name,)).fetchall() or missing_ok):
        raise NotFound(name)


def rename(connection: Connection, name: str, new_name: str) -> None:
    group_id = _group_id(connection, name)
    if contains(connection, new_name):
        raise AlreadyExists(new_name)
    connection.execute(statements.RENAME, (new_name, group_id))


def add(connection: Connection, name: str, topics: Sequence[str]) -> None:
    if len(topics) == 1:  # as most often, and then one statement does it
        if not connection.execute(statements.ADD_TO_NAME, (topics[0], name)).rowcount:
            _group_id(connection, name)
        return
    group_id = _group_id(connection, name)
    connection.executemany(statements.ADD, [(group_id, topic) for topic in topics])


def create_and_add(connection: Connection, name: str, topics: Sequence[str]) -> None:
    create(connection, name, exist_ok=True)
    add(connection, name, topics)


def remove(connection: Connection, name: str, topics: Iterable[str]) -> None:
    group_id = _group_id(connection, name)
    connection.executemany(statements.REMOVE, [(group_id, topic) for topic in topics])


def set_topics(connection: Connection, name: str, topics: Iterable[str]) -> None:
    group_id = _group_id(connection, name)
    wanted = set(topics)
    rows = connection.execute(statements.TOPICS_OF_ID, (group_id,)).fetchall()
    present = set(texts([topic for (topic,) in rows]))
    # In order, so that many go page after page and not all over the file.
    gone, new = sorted(present - wanted), sorted(wanted - present)
    connection.executemany(statements.REMOVE, [(group_id, topic) for topic in gone])
    connection.executemany(statements.ADD, [(group_id, topic) for topic in new])


def topics(connection: Connection, name: str) -> frozenset[str]:
    rows = connection.execute(statements.TOPICS, (name,)).fetchall()
    if not rows:
        raise NotFound(name)
    return frozenset(texts([topic for (topic,) in rows if topic is not None]))


def ordered_topics(connection: Connection, name: str) -> tuple[str, ...]:
    """Return the topics of a group in code point order, none where there is no such group."""
    rows = connection.execute(statements.TOPICS, (name,)).fetchall()
    return tuple(texts([topic for (topic,) in rows if topic is not None]))


def groups_of(connection: Connection, topic: str) -> tuple[str, ...]:
    rows = connection.execute(statements.GROUPS_OF, (topic,)).fetchall()
    return tuple(texts([name for (name,) in rows]))


def list_groups(
    connection: Connection, lowest: str, end: str | None, limit: int | None
) -> tuple[str, ...]:
    above = _ABOVE_ALL_TEXT if end is None else end
    bounds = (lowest, above, -1 if limit is None else limit, 0)
    rows = connection.execute(statements.LIST_GROUPS, bounds).fetchall()
    return tuple(texts([name for (name,) in rows]))


def contains(connection: Connection, name: str) -> bool:
    return connection.execute(statements.GROUP_ID, (name,)).fetchone() is not None


def count(connection: Connection) -> int:
    (number,) = connection.execute(statements.LENGTH).fetchone()
    return int(number)


def ordered_union(connection: Connection, *names: str) -> tuple[str, ...]:
    """Return the topics of all these groups, each once and in order, as of one moment."""
    own_moment = not connection.in_transaction
    if own_moment:
        connection.execute("BEGIN")
    try:
        found: set[str] = set()
        for name in names:
            found.update(ordered_topics(connection, name))
        return tuple(sorted(found))
    finally:
        if own_moment:
            connection.execute("ROLLBACK")


def texts(names: list[str]) -> list[str]:
    """Return what was read, or raise where damage has made something else of a text."""
    try:
        "".join(names)
    except TypeError as error:
        raise sqlite.driver.DatabaseError("the file is damaged: a name in it is no text") from error
    return names


def _group_id(connection: Connection, name: str) -> int:
    row = connection.execute(statements.GROUP_ID, (name,)).fetchone()
    if row is None:
        raise NotFound(name)
    return int(row[0])


_FEW = 100
_ANY_NAME: list[Touched] = [(contains, None), (count, None), (list_groups, None)]
_ANY_TOPICS: list[Touched] = [(topics, None), (ordered_topics, None), (ordered_union, None)]
EVERYTHING: list[Touched] = [*_ANY_NAME, *_ANY_TOPICS, (groups_of, None)]


def touched(operation: Callable[..., Any], arguments: tuple[Any, ...]) -> Iterator[Touched]:
    """Return which answers a write may change: those of a reading operation to these arguments.

    None stands for whatever the arguments were.
    """
    if operation is create:
        yield from _ANY_NAME
        yield ordered_topics, arguments[:1]
        yield ordered_union, None
    elif operation in (add, create_and_add, remove, set_topics):
        name, changed = arguments
        if operation is create_and_add:
            yield from _ANY_NAME
        yield topics, (name,)
        yield ordered_topics, (name,)
        yield ordered_union, None
        if operation is set_topics or len(changed) > _FEW:
            yield groups_of, None
        else:
            for topic in changed:
                yield groups_of, (topic,)
    else:
        yield from EVERYTHING
