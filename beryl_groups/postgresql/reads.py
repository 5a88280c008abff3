"""What is read otherwise than by the operation itself, to be one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from beryl_groups import operations
from beryl_groups.postgresql import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.postgresql.connections import Connection

T = TypeVar("T")
Given = TypeVarTuple("Given")

_UNION = (
    f"SELECT DISTINCT topic FROM {SCHEMA}.group_topics "  # noqa: S608 - a constant
    f"WHERE group_id IN (SELECT id FROM {SCHEMA}.groups WHERE name = ANY($1::text[])) "
    "ORDER BY topic"
)


def ordered_union(connection: Connection, *names: str) -> tuple[str, ...]:
    """Return what the operation of this name does; one statement reads as of one moment."""
    return tuple([topic for (topic,) in connection.rows(_UNION, names)])


_READS: dict[Callable[..., Any], Callable[..., Any]] = {operations.ordered_union: ordered_union}


def as_read(
    operation: Callable[[Connection, *Given], T],
) -> Callable[[Connection, *Given], T]:
    """Return how an operation that reads is carried out here."""
    found: Any = _READS.get(operation, operation)
    return found  # type: ignore[no-any-return]
