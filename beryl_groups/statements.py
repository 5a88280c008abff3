"""Every statement the package runs on the tables, written in Core and compiled once to SQL.

The driver runs the text directly: a Core execution costs ten times what SQLite needs for a read.
Parameters are positional, in the order in which they stand in the statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, desc, func, select, update
from sqlalchemy.dialects.sqlite import dialect, insert

from beryl_groups.tables import group_topics, groups

if TYPE_CHECKING:
    from sqlalchemy.sql.expression import ClauseElement

_DIALECT = dialect(paramstyle="qmark")


def _sql(statement: ClauseElement) -> str:
    return str(statement.compile(dialect=_DIALECT))


_name = groups.c.name == bindparam("name")
_id = group_topics.c.group_id == bindparam("id")

CREATE = _sql(
    insert(groups).values(name=bindparam("name")).on_conflict_do_nothing().returning(groups.c.id)
)
DELETE = _sql(delete(groups).where(_name).returning(groups.c.id))
RENAME = _sql(
    update(groups).values(name=bindparam("new_name")).where(groups.c.id == bindparam("id"))
)
GROUP_ID = _sql(select(groups.c.id).where(_name))
LENGTH = _sql(select(func.count()).select_from(groups))

ADD = _sql(
    insert(group_topics)
    .values(group_id=bindparam("id"), topic=bindparam("topic"))
    .on_conflict_do_nothing()
)
REMOVE = _sql(delete(group_topics).where(_id, group_topics.c.topic == bindparam("topic")))
TOPICS_OF_ID = _sql(select(group_topics.c.topic).where(_id))

# A group without topics gives one row with NULL, a group that is not there gives no row.
TOPICS = _sql(
    select(group_topics.c.topic)
    .select_from(groups.outerjoin(group_topics, group_topics.c.group_id == groups.c.id))
    .where(_name)
    .order_by(group_topics.c.topic)
)
GROUPS_OF = _sql(
    select(groups.c.name)
    .join(group_topics, group_topics.c.group_id == groups.c.id)
    .where(group_topics.c.topic == bindparam("topic"))
    .order_by(groups.c.name)
)
LIST_GROUPS = _sql(
    select(groups.c.name)
    .where(groups.c.name >= bindparam("lowest"), groups.c.name < bindparam("end"))
    .order_by(groups.c.name)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)

# What the command line reads besides. An orphaned row is in no group, so it does not count.
_memberships = group_topics.join(groups, group_topics.c.group_id == groups.c.id)
_number_of_topics = (
    select(func.count()).where(group_topics.c.group_id == groups.c.id).scalar_subquery()
)
NUMBERS_OF_TOPICS = _sql(
    select(groups.c.name, _number_of_topics)
    .where(groups.c.name.between(bindparam("first"), bindparam("last")))
    .order_by(groups.c.name)
)
LARGEST_GROUPS = _sql(
    select(groups.c.name, _number_of_topics.label("number"))
    .order_by(desc("number"), groups.c.name)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
MEMBERSHIPS = _sql(select(func.count()).select_from(_memberships))
TOPICS_OF_ALL = _sql(
    select(func.count()).select_from(
        select(group_topics.c.topic).select_from(_memberships).distinct().subquery()
    )
)
EVERYTHING = _sql(
    select(groups.c.name, group_topics.c.topic)
    .select_from(groups.outerjoin(group_topics, group_topics.c.group_id == groups.c.id))
    .order_by(groups.c.name, group_topics.c.topic)
)
LIST_TOPICS = _sql(
    select(group_topics.c.topic)
    .distinct()
    .select_from(_memberships)
    .where(group_topics.c.topic >= bindparam("lowest"), group_topics.c.topic < bindparam("end"))
    .order_by(group_topics.c.topic)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
