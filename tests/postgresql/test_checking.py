"""What ``check`` finds in a database: what was altered, and what lies in it that must not."""

from __future__ import annotations

import pytest

import beryl_groups
from tests.postgresql.server import sql

ALTERED = {
    "orphans": (
        (
            "ALTER TABLE beryl_groups.group_topics DISABLE TRIGGER ALL; "
            "INSERT INTO beryl_groups.group_topics VALUES (-1, 'a'), (-1, 'b'); "
            "ALTER TABLE beryl_groups.group_topics ENABLE TRIGGER ALL"
        ),
        "group_topics holds 2 orphaned rows of the group_id -1, such as 'a'",
    ),
    "no name": (
        "INSERT INTO beryl_groups.groups (name) VALUES ('')",
        "The name of a group breaks the rules: The name '' cannot be stored: it is empty",
    ),
    "a long topic": (
        (
            "INSERT INTO beryl_groups.groups (name) VALUES ('long'); "
            "INSERT INTO beryl_groups.group_topics SELECT id, repeat('x', 1025) "
            "FROM beryl_groups.groups"
        ),
        "The name of a topic breaks the rules",
    ),
    "another collation": (
        (
            "DROP VIEW beryl_groups.memberships; "
            'ALTER TABLE beryl_groups.groups ALTER name TYPE text COLLATE "ucs_basic"'
        ),
        "The view beryl_groups.memberships is missing",
    ),
    "a column more": (
        "ALTER TABLE beryl_groups.groups ADD colour text",
        "beryl_groups.groups was altered: it has a column colour more",
    ),
    "no index": (
        "DROP INDEX beryl_groups.group_topics_by_topic",
        "beryl_groups.group_topics has no index of topic, group_id",
    ),
    "an invalid index": (
        (
            "UPDATE pg_index SET indisvalid = false "
            "WHERE indexrelid = 'beryl_groups.group_topics_by_topic'::regclass"
        ),
        "The index beryl_groups.group_topics_by_topic is invalid: REINDEX INDEX",
    ),
    "no foreign key": (
        (
            "DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE beryl_groups.group_topics DROP "
            "CONSTRAINT %I', conname) FROM pg_constraint WHERE contype = 'f' "
            "AND conrelid = 'beryl_groups.group_topics'::regclass); END $$"
        ),
        "it lacks the constraint FOREIGN KEY (group_id) REFERENCES beryl_groups.groups(id)",
    ),
    "a unique index more": (
        "CREATE UNIQUE INDEX one_group ON beryl_groups.group_topics (topic)",
        "The index beryl_groups.one_group is unique, and would refuse what is to be stored",
    ),
    "not logged": (
        "ALTER TABLE beryl_groups.group_topics SET UNLOGGED",
        "beryl_groups.group_topics was altered: it is not logged, and a crash",
    ),
    "foreign keys that are not looked at": (
        "ALTER TABLE beryl_groups.group_topics DISABLE TRIGGER ALL",
        "of the table beryl_groups.group_topics is disabled",
    ),
    "no moment of creation": (
        "ALTER TABLE beryl_groups.groups ALTER created_at DROP DEFAULT",
        "beryl_groups.groups was altered: its column created_at is not filled by the server",
    ),
    "numbers that were given": (
        "INSERT INTO beryl_groups.groups (id, name) OVERRIDING SYSTEM VALUE VALUES (7, 'seventh')",
        "The next group would get the id 1, and there is one of 7: SELECT setval('beryl_groups.",
    ),
    "another collation beneath the view": (
        (
            "DROP VIEW beryl_groups.memberships; "
            'ALTER TABLE beryl_groups.group_topics ALTER topic TYPE text COLLATE "ucs_basic"; '
            "CREATE VIEW beryl_groups.memberships AS SELECT name AS group_name, topic "
            "FROM beryl_groups.groups JOIN beryl_groups.group_topics ON group_id = id"
        ),
        "its column topic has the collation 'ucs_basic', which is not in code point order",
    ),
    "another view": (
        (
            "DROP VIEW beryl_groups.memberships; "
            "CREATE VIEW beryl_groups.memberships AS SELECT name FROM beryl_groups.groups"
        ),
        "beryl_groups.memberships is not the view of group_name and topic",
    ),
    "a table in the place of the view": (
        (
            "DROP VIEW beryl_groups.memberships; "
            "CREATE TABLE beryl_groups.memberships (group_name text, topic text)"
        ),
        "beryl_groups.memberships is not the view of group_name and topic",
    ),
    "no revision": (
        "DROP TABLE beryl_groups.beryl_groups_version",
        "The table beryl_groups.beryl_groups_version is missing",
    ),
    "a rule": (
        "CREATE RULE none AS ON DELETE TO beryl_groups.group_topics DO INSTEAD NOTHING",
        "The rule none of the table beryl_groups.group_topics changes what calls mean",
    ),
    "a policy": (
        "ALTER TABLE beryl_groups.groups ENABLE ROW LEVEL SECURITY",
        "beryl_groups.groups was altered: a policy may hide rows of it",
    ),
}


@pytest.mark.parametrize("what", list(ALTERED))
def test_what_is_wrong_is_a_sentence(empty_database: str, what: str) -> None:
    """Each thing that was altered or left is told in words, and nothing else is."""
    alter, sentence = ALTERED[what]
    with beryl_groups.start(empty_database) as groups:
        assert groups.check() == []
        sql(empty_database, alter)
        found = groups.check()
    assert any(sentence in each for each in found), found
    assert all(each.endswith(".") for each in found)
    if what != "foreign keys that are not looked at":  # there is a trigger for each direction
        assert len(found) == 1


def test_a_handle_goes_on_when_a_table_was_altered(empty_database: str) -> None:
    """What the server keeps of its statements is made anew, and the caller does not hear of it."""
    with beryl_groups.start(empty_database) as groups:
        groups.add("team", "a", create=True)
        assert groups.list_groups() == ["team"]
        assert groups.groups_of("a") == ["team"]
        sql(
            empty_database,
            "DROP VIEW beryl_groups.memberships; "
            "ALTER TABLE beryl_groups.groups ALTER name TYPE varchar COLLATE pg_catalog.ucs_basic",
        )
        assert groups.list_groups() == ["team"]
        groups.add("team", "b")
        assert groups.groups_of("b") == ["team"]
