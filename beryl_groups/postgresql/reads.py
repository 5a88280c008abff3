"""What is read otherwise than by the operation itself, to be one round trip or a better plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from beryl_groups import operations
from beryl_groups.errors import NotFound
from beryl_groups.postgresql import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.postgresql.connections import Connection

T = TypeVar("T")
Given = TypeVarTuple("Given")

# Neither has the server sort, which it does on its disk where there is much, and that may be full.
_UNION = (
    f"SELECT topic FROM {SCHEMA}.group_topics "  # noqa: S608 - a constant
    f"WHERE group_id IN (SELECT id FROM {SCHEMA}.groups WHERE name = ANY($1::text[]))"
)

# As the statement of this name, but the topics of one group come by their index: whatever the
# server has counted of the tables, it joins nothing.
_TOPICS = (
    f"SELECT held.topic FROM {SCHEMA}.groups LEFT JOIN LATERAL ("  # noqa: S608
    f"SELECT topic FROM {SCHEMA}.group_topics WHERE group_id = groups.id OFFSET 0"
    ") AS held ON true WHERE groups.name = $1"
)


def topics(connection: Connection, name: str) -> frozenset[str]:
    rows = connection.rows(_TOPICS, name)
    if not rows:
        raise NotFound(name)
    return frozenset([topic for (topic,) in rows if topic is not None])


def ordered_topics(connection: Connection, name: str) -> tuple[str, ...]:
    """Return what the operation of this name does."""
    rows = connection.rows(_TOPICS, name)
    return tuple(sorted([topic for (topic,) in rows if topic is not None]))


def ordered_union(connection: Connection, *names: str) -> tuple[str, ...]:
    """Return what the operation of this name does; one statement reads as of one moment."""
    return tuple(sorted({topic for (topic,) in connection.rows(_UNION, names)}))


_READS: dict[Callable[..., Any], Callable[..., Any]] = {
    operations.topics: topics,
    operations.ordered_topics: ordered_topics,
    operations.ordered_union: ordered_union,
}


def as_read(
    operation: Callable[[Connection, *Given], T],
) -> Callable[[Connection, *Given], T]:
    """Return how an operation that reads is carried out here."""
    found: Any = _READS.get(operation, operation)
    return found  # type: ignore[no-any-return]
