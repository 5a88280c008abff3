"""What there is in a database, as numbers and as a whole, read for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, desc, func, select

from beryl_groups import operations
from beryl_groups.names import after_prefix, check_bound
from beryl_groups.tables import group_topics, groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.engine import Connection

# An orphaned row is in no group, so it does not count.
_memberships = group_topics.join(groups, group_topics.c.group_id == groups.c.id)
_number_of_topics = (
    select(func.count()).where(group_topics.c.group_id == groups.c.id).scalar_subquery()
)
_NUMBERS_OF_TOPICS = (
    select(groups.c.name, _number_of_topics)
    .where(groups.c.name.between(bindparam("first"), bindparam("last")))
    .order_by(groups.c.name)
)
_LARGEST_GROUPS = (
    select(groups.c.name, _number_of_topics.label("number"))
    .order_by(desc("number"), groups.c.name)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_MEMBERSHIPS = select(func.count()).select_from(_memberships)
_TOPICS_OF_ALL = select(func.count()).select_from(
    select(group_topics.c.topic).select_from(_memberships).distinct().subquery()
)
_EVERYTHING = (
    select(groups.c.name, group_topics.c.topic)
    .select_from(groups.outerjoin(group_topics, group_topics.c.group_id == groups.c.id))
    .order_by(groups.c.name, group_topics.c.topic)
)
_LIST_TOPICS = (
    select(group_topics.c.topic)
    .distinct()
    .select_from(_memberships)
    .where(group_topics.c.topic >= bindparam("lowest"))
    .order_by(group_topics.c.topic)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_LIST_TOPICS_BEFORE = _LIST_TOPICS.where(group_topics.c.topic < bindparam("end"))


@dataclass(frozen=True)
class Figures:
    """How much a database holds."""

    groups: int
    topics: int
    memberships: int
    largest: list[tuple[str, int]]


def figures(connection: Connection, largest: int) -> Figures:
    """Count, as of one moment; a topic that is in several groups is one topic."""
    with connection.moment():
        groups = operations.count(connection)
        ((memberships,),) = connection.rows(_MEMBERSHIPS)
        ((topics,),) = connection.rows(_TOPICS_OF_ALL)
        rows = connection.rows(_LARGEST_GROUPS, largest, 0)
        connection.texts([name for name, _ in rows])
    return Figures(groups, topics, memberships, rows)


def numbers_of_topics(connection: Connection, first: str, last: str) -> list[tuple[str, int]]:
    """Return the groups from one name to another, each with the number of its topics."""
    rows = connection.rows(_NUMBERS_OF_TOPICS, first, last)
    connection.texts([name for name, _ in rows])
    return rows


def for_each_group(connection: Connection, handle: Callable[[str, list[str], int], None]) -> None:
    """Call ``handle(group, topics, number of groups)`` for all there is, as of one moment.

    Groups and topics come in code point order, and no more than one group is held in memory.
    """
    with connection.moment():
        number = operations.count(connection)
        rows = connection.stream(_EVERYTHING)
        for name, group in groupby(rows, itemgetter(0)):
            topics = [topic for _, topic in group if topic is not None]
            connection.texts([name, *topics])
            handle(name, topics, number)


def list_topics(connection: Connection, prefix: str, limit: int) -> list[str]:
    """Return the topics of all groups that start with the prefix, in code point order."""
    lowest = check_bound(prefix)
    end = after_prefix(lowest)
    if end is None:
        rows = connection.rows(_LIST_TOPICS, lowest, limit, 0)
    else:
        rows = connection.rows(_LIST_TOPICS_BEFORE, lowest, end, limit, 0)
    return connection.texts([topic for (topic,) in rows])
