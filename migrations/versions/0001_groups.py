"""Groups and their topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.operations import Operations

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# As SQL, and not by Alembic's operations: what a host program registers for these would act here.
UPGRADE = {
    "sqlite": [
        (
            "CREATE TABLE groups (\n"
            "\tid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, \n"
            "\tname TEXT NOT NULL, \n"
            "\tcreated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) NOT NULL, \n"
            "\tUNIQUE (name)\n)\n STRICT\n\n"
        ),
        (
            "CREATE TABLE group_topics (\n"
            "\tgroup_id INTEGER NOT NULL, \n"
            "\ttopic TEXT NOT NULL, \n"
            "\tPRIMARY KEY (group_id, topic), \n"
            "\tFOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE CASCADE\n)\n"
            " WITHOUT ROWID,\n STRICT\n\n"
        ),
        "CREATE INDEX group_topics_by_topic ON group_topics (topic, group_id)",
        (
            "CREATE VIEW memberships AS "
            "SELECT groups.name AS group_name, group_topics.topic AS topic "
            "FROM group_topics JOIN groups ON groups.id = group_topics.group_id"
        ),
        "PRAGMA application_id = 1651669356",  # "bryl"
    ],
    "postgresql": [
        (
            "CREATE TABLE beryl_groups.groups ("
            "id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            'name TEXT COLLATE "C" NOT NULL UNIQUE, '
            "created_at TEXT NOT NULL DEFAULT "
            "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))"
        ),
        (
            "CREATE TABLE beryl_groups.group_topics ("
            "group_id BIGINT NOT NULL REFERENCES beryl_groups.groups (id) ON DELETE CASCADE, "
            'topic TEXT COLLATE "C" NOT NULL, '
            "PRIMARY KEY (group_id, topic))"
        ),
        "CREATE INDEX group_topics_by_topic ON beryl_groups.group_topics (topic, group_id)",
        (
            "CREATE VIEW beryl_groups.memberships AS "
            "SELECT groups.name AS group_name, group_topics.topic AS topic "
            "FROM beryl_groups.group_topics "
            "JOIN beryl_groups.groups ON groups.id = group_topics.group_id"
        ),
    ],
}
DOWNGRADE = {
    "sqlite": [
        "PRAGMA application_id = 0",
        "DROP VIEW memberships",
        "DROP TABLE group_topics",
        "DROP TABLE groups",
    ],
    "postgresql": [
        "DROP VIEW beryl_groups.memberships",
        "DROP TABLE beryl_groups.group_topics",
        "DROP TABLE beryl_groups.groups",
    ],
}


def upgrade(op: Operations) -> None:
    _run(op, UPGRADE)


def downgrade(op: Operations) -> None:
    _run(op, DOWNGRADE)


def _run(op: Operations, statements: dict[str, list[str]]) -> None:
    connection = op.get_bind()
    for statement in statements[connection.dialect.name]:
        connection.exec_driver_sql(statement)
