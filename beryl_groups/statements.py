"""The statements of each call, written in Core and compiled once to SQL.

The driver runs the text directly: a Core execution costs ten times what SQLite needs for a read.
Parameters are positional, in the order in which they stand in the statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import dialect, insert

from beryl_groups.tables import group_topics, groups

if TYPE_CHECKING:
    from sqlalchemy.sql.expression import ClauseElement

_DIALECT = dialect(paramstyle="qmark")


def sql(statement: ClauseElement) -> str:
    return str(statement.compile(dialect=_DIALECT))


_name = groups.c.name == bindparam("name")
_id = group_topics.c.group_id == bindparam("id")

CREATE = sql(
    insert(groups).values(name=bindparam("name")).on_conflict_do_nothing().returning(groups.c.id)
)
DELETE = sql(delete(groups).where(_name).returning(groups.c.id))
RENAME = sql(
    update(groups).values(name=bindparam("new_name")).where(groups.c.id == bindparam("id"))
)
GROUP_ID = sql(select(groups.c.id).where(_name))
LENGTH = sql(select(func.count()).select_from(groups))

ADD = sql(
    insert(group_topics)
    .values(group_id=bindparam("id"), topic=bindparam("topic"))
    .on_conflict_do_nothing()
)
# What adds no row met one that is there, or no group.
ADD_TO_NAME = sql(
    insert(group_topics)
    .from_select(["group_id", "topic"], select(groups.c.id, bindparam("topic")).where(_name))
    .on_conflict_do_nothing()
)
REMOVE = sql(delete(group_topics).where(_id, group_topics.c.topic == bindparam("topic")))
TOPICS_OF_ID = sql(select(group_topics.c.topic).where(_id))

# A group without topics gives one row with NULL, a group that is not there gives no row.
TOPICS = sql(
    select(group_topics.c.topic)
    .select_from(groups.outerjoin(group_topics, group_topics.c.group_id == groups.c.id))
    .where(_name)
    .order_by(group_topics.c.topic)
)
GROUPS_OF = sql(
    select(groups.c.name)
    .join(group_topics, group_topics.c.group_id == groups.c.id)
    .where(group_topics.c.topic == bindparam("topic"))
    .order_by(groups.c.name)
)
LIST_GROUPS = sql(
    select(groups.c.name)
    .where(groups.c.name >= bindparam("lowest"), groups.c.name < bindparam("end"))
    .order_by(groups.c.name)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
