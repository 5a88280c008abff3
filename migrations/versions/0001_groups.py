"""Groups and their topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.operations import Operations

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPLICATION_ID = 0x6272796C  # "bryl"


def upgrade(op: Operations) -> None:
    op.create_table(
        "groups",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column(
            "created_at",
            sa.Text(),
            nullable=False,
            server_default=sa.text("(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"),
        ),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_table(
        "group_topics",
        sa.Column(
            "group_id",
            sa.Integer(),
            sa.ForeignKey("groups.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("topic", sa.Text(), primary_key=True),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("group_topics_by_topic", "group_topics", ["topic", "group_id"])
    op.execute(
        "CREATE VIEW memberships AS "
        "SELECT groups.name AS group_name, group_topics.topic AS topic "
        "FROM group_topics JOIN groups ON groups.id = group_topics.group_id"
    )
    op.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def downgrade(op: Operations) -> None:
    op.execute("PRAGMA application_id = 0")
    op.execute("DROP VIEW memberships")
    op.drop_table("group_topics")
    op.drop_table("groups")
