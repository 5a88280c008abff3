"""The tables, as SQLAlchemy Core knows them; the migrations make them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, Integer, MetaData, Text, text

from beryl_groups.quiet import QuietColumn as Column
from beryl_groups.quiet import QuietTable as Table

metadata = MetaData()

CREATED_AT_DEFAULT = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"

groups = Table(
    "groups",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Text, nullable=False, server_default=text(CREATED_AT_DEFAULT)),
    # An id is never given twice: rows that outlive their group have no heir.
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

group_topics = Table(
    "group_topics",
    metadata,
    Column("group_id", Integer, ForeignKey(groups.c.id, ondelete="CASCADE"), primary_key=True),
    Column("topic", Text, primary_key=True),
    Index("group_topics_by_topic", "topic", "group_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
