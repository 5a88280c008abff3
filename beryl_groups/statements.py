"""The statements of each call, written in Core; an engine compiles each once for its dialect.

Their values are positional, in the order in which they stand in the statement.
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert  # every dialect of ours has its ON CONFLICT

from beryl_groups.tables import group_topics, groups

_name = groups.c.name == bindparam("name")
_id = group_topics.c.group_id == bindparam("id")

CREATE = (
    insert(groups).values(name=bindparam("name")).on_conflict_do_nothing().returning(groups.c.id)
)
DELETE = delete(groups).where(_name).returning(groups.c.id)
RENAME = update(groups).values(name=bindparam("new_name")).where(groups.c.id == bindparam("id"))
GROUP_ID = select(groups.c.id).where(_name)
LENGTH = select(func.count()).select_from(groups)

ADD = (
    insert(group_topics)
    .values(group_id=bindparam("id"), topic=bindparam("topic"))
    .on_conflict_do_nothing()
)
# What adds no row met one that is there, or no group.
ADD_TO_NAME = (
    insert(group_topics)
    .from_select(["group_id", "topic"], select(groups.c.id, bindparam("topic")).where(_name))
    .on_conflict_do_nothing()
)
REMOVE = delete(group_topics).where(_id, group_topics.c.topic == bindparam("topic"))
TOPICS_OF_ID = select(group_topics.c.topic).where(_id)

# A group without topics gives one row with NULL, a group that is not there gives no row.
# Both in no order: a server may sort on its disk, and a read has to work where that is full.
TOPICS = (
    select(group_topics.c.topic)
    .select_from(groups.outerjoin(group_topics, group_topics.c.group_id == groups.c.id))
    .where(_name)
)
GROUPS_OF = (
    select(groups.c.name)
    .join(group_topics, group_topics.c.group_id == groups.c.id)
    .where(group_topics.c.topic == bindparam("topic"))
)
LIST_GROUPS = (
    select(groups.c.name)
    .where(groups.c.name >= bindparam("lowest"))
    .order_by(groups.c.name)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
LIST_GROUPS_BEFORE = LIST_GROUPS.where(groups.c.name < bindparam("end"))

NO_LIMIT = 2**63 - 1
