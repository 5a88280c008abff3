"""What is on disk: the tables, the view and the index of the contract, and nothing else."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import sqlite, statements
from beryl_groups.sqlite.core import SQL
from tests.processes import PATIENCE, shell
from tests.sqlite.opening import run_sql

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups


@pytest.fixture
def made(path: Path) -> Path:
    """A new file, closed."""
    beryl_groups.start(path).close()
    return path


def test_the_tables_are_strict(made: Path) -> None:
    """Both tables refuse values of another type; topics are kept in their primary key alone."""
    rows = run_sql(made, "PRAGMA table_list")
    kinds = {
        name: (kind, without_rowid, strict) for _, name, kind, _, without_rowid, strict in rows
    }
    assert kinds["groups"] == ("table", 0, 1)
    assert kinds["group_topics"] == ("table", 1, 1)
    assert kinds["memberships"][0] == "view"
    ours = set(kinds) - {"beryl_groups_version"}
    assert {name for name in ours if not name.startswith("sqlite_")} == {
        "groups",
        "group_topics",
        "memberships",
    }


def test_the_columns_are_those_of_the_contract(made: Path) -> None:
    """Each column has its name, type, NOT NULL and place in the primary key."""
    assert run_sql(made, "SELECT name, type, \"notnull\", pk FROM pragma_table_info('groups')") == [
        ("id", "INTEGER", 1, 1),
        ("name", "TEXT", 1, 0),
        ("created_at", "TEXT", 1, 0),
    ]
    assert run_sql(
        made, "SELECT name, type, \"notnull\", pk FROM pragma_table_info('group_topics')"
    ) == [("group_id", "INTEGER", 1, 1), ("topic", "TEXT", 1, 2)]
    assert run_sql(made, "SELECT name FROM pragma_table_info('memberships')") == [
        ("group_name",),
        ("topic",),
    ]


def test_a_group_takes_its_topics_along(made: Path) -> None:
    """Where foreign keys are on, a topic needs its group and is deleted with it."""
    ((_, _, table, column, parent, _, on_delete, _),) = run_sql(
        made, "PRAGMA foreign_key_list(group_topics)"
    )
    assert (table, column, parent, on_delete) == ("groups", "group_id", "id", "CASCADE")


def test_a_name_is_unique(made: Path) -> None:
    """The file itself refuses a second group of a name, whoever writes it."""
    run_sql(made, "INSERT INTO groups(name) VALUES ('team')")
    with pytest.raises(sqlite.driver.IntegrityError, match=r"UNIQUE.*groups\.name"):
        run_sql(made, "INSERT INTO groups(name) VALUES ('team')")


@pytest.mark.parametrize(
    "insert",
    [
        "INSERT INTO groups(name) VALUES (x'00')",
        "INSERT INTO groups(name) VALUES (NULL)",
        "INSERT INTO groups(name, created_at) VALUES ('team', NULL)",
        "INSERT INTO group_topics VALUES ('one', 'topic')",
        "INSERT INTO group_topics VALUES (1, NULL)",
        "INSERT INTO group_topics VALUES (NULL, 'topic')",
        "INSERT INTO group_topics VALUES (1, 'topic'), (1, 'topic')",
    ],
)
def test_what_is_no_row_is_refused(made: Path, insert: str) -> None:
    """The file itself refuses what the contract rules out, whoever writes it."""
    with pytest.raises(sqlite.driver.IntegrityError):
        run_sql(made, insert)


def test_an_id_is_never_given_twice(made: Path) -> None:
    """A group that is made after another was deleted does not have its id."""
    insert, delete = "INSERT INTO groups(name) VALUES ('team') RETURNING id", "DELETE FROM groups"
    first = run_sql(made, insert)
    assert run_sql(made, delete, insert) != first


def test_names_are_compared_code_point_by_code_point(made: Path) -> None:
    """Every index has the collation BINARY, and the text is UTF-8."""
    collations = run_sql(
        made,
        "SELECT DISTINCT x.coll FROM pragma_table_list t, pragma_index_list(t.name) i, "
        "pragma_index_xinfo(i.name) x WHERE t.name IN ('groups', 'group_topics')",
    )
    assert collations == [("BINARY",)]
    assert run_sql(made, "PRAGMA encoding") == [("UTF-8",)]


def test_the_view_shows_names_and_topics(groups: Groups, path: Path) -> None:
    """Who looks with the shell sees which group holds which topic without a join."""
    groups.create("a")
    groups.create("b")
    groups.create("empty")
    groups.add("a", "one", "two")
    groups.add("b", "one")
    query = "SELECT group_name, topic FROM memberships ORDER BY 1, 2"
    assert shell(path, query) == "a|one\na|two\nb|one\n"


def test_the_file_bears_our_mark(made: Path) -> None:
    """The application_id tells that the file is ours, and it is in WAL mode."""
    assert run_sql(made, "PRAGMA application_id") == [(0x6272796C,)]
    assert run_sql(made, "PRAGMA journal_mode") == [("wal",)]


def plan(path: Path, query: str) -> str:
    """Return how SQLite would go about a statement of the package."""
    bound = query.replace("?", "'x'")
    return "\n".join(row[3] for row in run_sql(path, f"EXPLAIN QUERY PLAN {bound}"))


def test_an_index_serves_groups_of(made: Path) -> None:
    """To find the groups of a topic, SQLite goes to the topic and reads no table whole."""
    how = plan(made, SQL[statements.GROUPS_OF])
    assert "SEARCH group_topics USING COVERING INDEX group_topics_by_topic (topic=?)" in how
    assert "SEARCH groups USING INTEGER PRIMARY KEY" in how
    assert "SCAN" not in how


def test_an_index_serves_topics(made: Path) -> None:
    """The topics of a group are found by its name, and lie in order."""
    how = plan(made, SQL[statements.TOPICS])
    assert "SEARCH groups USING COVERING INDEX" in how
    assert "SEARCH group_topics USING PRIMARY KEY (group_id=?)" in how
    assert "SCAN" not in how
    assert "TEMP B-TREE" not in how


def test_an_index_serves_pages_of_groups(made: Path) -> None:
    """A page of names is read from where it begins, and in order."""
    how = plan(made, SQL[statements.LIST_GROUPS_BEFORE])
    assert "SEARCH groups USING COVERING INDEX" in how
    assert "(name>? AND name<?)" in how
    assert "TEMP B-TREE" not in how


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/St_Johns"])
def test_a_group_keeps_when_it_was_created(
    path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """created_at is UTC in ISO 8601 wherever the application runs, and for the shell as well."""
    monkeypatch.setenv("TZ", zone)
    tick = timedelta(milliseconds=1)  # SQLite's clock shows no less
    before = datetime.now(UTC) - tick
    with beryl_groups.start(path) as groups:
        groups.create("ours")
    subprocess.run(
        ["sqlite3", path, "INSERT INTO groups(name) VALUES ('theirs')"],
        check=True,
        timeout=PATIENCE,
        env=os.environ | {"TZ": zone},
    )
    after = datetime.now(UTC) + tick
    stamps = [text for (text,) in run_sql(path, "SELECT created_at FROM groups")]
    assert len(stamps) == 2
    for text in stamps:
        assert text.endswith("Z")
        assert before <= datetime.fromisoformat(text) <= after
