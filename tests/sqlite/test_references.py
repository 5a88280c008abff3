"""What a restore does to rows of a program's own that refer to groups by a foreign key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import StorageFailed
from tests.commandline.running import refusal
from tests.contract.copies import contents
from tests.sqlite.opening import run_sql

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups

ACTIONS = ("", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT")


@pytest.fixture
def own(groups: Groups, path: Path) -> list[str]:
    """Tables that refer to groups in all ways, each with a row for the group "kept"."""
    for name in ("gone", "kept", "other"):
        groups.create(name)
        groups.add(name, "old")
    tables = [
        f'"own {column} {action}" (g {kind} {target} {action} ON UPDATE CASCADE, note)'
        for action in ACTIONS
        for column, kind, target in (
            ("id", "INTEGER", "REFERENCES Groups"),
            ("name", "TEXT", "REFERENCES groups(NAME)"),
        )
    ]
    run_sql(path, *[f"CREATE TABLE {table}" for table in tables])
    names = [table.split('"')[1] for table in tables]
    run_sql(path, *[f'INSERT INTO "{name}" VALUES ({value(name, "kept")}, 5)' for name in names])
    run_sql(path, *[f'INSERT INTO "{name}" VALUES (NULL, 6)' for name in names])
    return names


def value(table: str, group: str) -> str:
    by_id = table.startswith("own id")
    return f"(SELECT id FROM groups WHERE name = '{group}')" if by_id else f"'{group}'"


def rows(path: Path, names: list[str]) -> list[Any]:
    return [run_sql(path, f'SELECT rowid, * FROM "{name}"') for name in names]


def test_rows_that_refer_to_a_group_stay(
    groups: Groups, path: Path, own: list[str], backup: Path
) -> None:
    """They are as they were, and refer to the group of that name, whatever its deletion does."""
    before = rows(path, own)
    (kept,) = run_sql(path, "SELECT id FROM groups WHERE name = 'kept'")
    groups.restore(backup)
    assert contents(groups) == {"kept": {"a", "b"}, "empty": frozenset()}
    assert rows(path, own) == before
    assert run_sql(path, "SELECT id FROM groups WHERE name = 'kept'") == [kept]
    assert run_sql(path, "PRAGMA foreign_key_check") == []
    assert groups.check() == []
    groups.create("next")
    ids = run_sql(path, "SELECT id FROM groups WHERE name IN ('empty', 'next') ORDER BY id")
    assert ids > [(3,)], "an id of a group that is gone was given twice"
    assert len(set(ids)) == 2


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("column", ["id", "name"])
def test_a_row_that_would_refer_to_nothing_refuses_the_restore(
    groups: Groups, path: Path, own: list[str], backup: Path, action: str, column: str
) -> None:
    """The table and the group are named, by the command too, and nothing has changed."""
    table = f"own {column} {action}"
    run_sql(path, f'INSERT INTO "{table}" VALUES ({value(table, "gone")}, 7)')
    before = rows(path, own), contents(groups)
    reason = (
        f"The backup {str(backup)!r} was not restored: the table {table!r} refers by a foreign "
        "key to the group 'gone', which it does not hold."
    )
    with pytest.raises(StorageFailed) as refused:
        groups.restore(backup)
    assert str(refused.value) == reason
    assert refusal("restore", path, backup) == reason
    assert (rows(path, own), contents(groups)) == before
    run_sql(path, f'DELETE FROM "{table}" WHERE note = 7')
    groups.restore(backup)


def test_a_row_that_refers_to_a_topic_refuses_the_restore(
    groups: Groups, path: Path, backup: Path
) -> None:
    """What it says of one topic of one group cannot be kept for another."""
    groups.create("kept")
    groups.add("kept", "a")
    run_sql(
        path,
        "CREATE TABLE seats (g, t, FOREIGN KEY (g, t) REFERENCES group_topics ON DELETE CASCADE)",
        "INSERT INTO seats VALUES (1, NULL)",
    )
    groups.restore(backup)
    run_sql(path, "INSERT INTO seats SELECT group_id, topic FROM group_topics WHERE topic = 'a'")
    with pytest.raises(StorageFailed, match="the table 'seats' refers by a foreign key to topics"):
        groups.restore(backup)
    assert len(run_sql(path, "SELECT * FROM seats")) == 2


def test_other_handles_see_the_groups_that_kept_their_ids(
    groups: Groups, path: Path, own: list[str], backup: Path
) -> None:
    """A watch tells of a group to which rows refer what has changed in it, and not its end."""
    assert own
    with beryl_groups.start(path) as other, other.watch(prefix="kept") as watch:
        groups.restore(backup)
        told = [next(watch), next(watch)]
        assert {(change.kind, change.group, change.topics) for change in told} == {
            ("added", "kept", frozenset("ab")),
            ("removed", "kept", frozenset({"old"})),
        }
        assert other.topics("kept") == {"a", "b"}
