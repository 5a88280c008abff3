"""Backups of a server are files of ours, and so the way from SQLite to PostgreSQL and back."""

from __future__ import annotations

import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

import beryl_groups
from beryl_groups import StorageFailed
from tests.commandline.running import run
from tests.contract.copies import contents, made, names_in
from tests.postgresql.roles import role
from tests.postgresql.server import sql
from tests.processes import PATIENCE, in_thread
from tests.sqlite.opening import everything, run_sql

if TYPE_CHECKING:
    from pathlib import Path

HOLDS = {
    "plain": {"a", "b"},
    "empty": set(),
    "odd\tname\nin \\N lines": {"\\.", "\\N", "tab\t", "\r\n", "'\"", "\x7f\x01", "z" * 1024},
    "\U0001f600": {"\uffff", "\U0010ffff", "é", "e\u0301"},
}


def test_a_backup_of_a_server_is_a_database_of_ours(database: str, target: Path) -> None:
    """It opens as a file, holds what the server held, names and moments as they were."""
    with beryl_groups.start(database) as groups:
        for name, topics in HOLDS.items():
            groups.add(name, *topics, create=True)
        groups.backup(target)
    with beryl_groups.start(target) as copy:
        assert contents(copy) == HOLDS
        assert copy.check() == []
        copy.create("one more")
    assert names_in(target.parent) == [target.name]


def test_a_role_that_may_write_may_restore(database: str, target: Path) -> None:
    """It needs no more than the rights on the tables that the README says to grant."""
    made(target, HOLDS)
    with beryl_groups.start(database) as groups, role(database) as url:
        name = make_url(url).username
        sql(
            database,
            f"GRANT USAGE ON SCHEMA beryl_groups TO {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA beryl_groups TO {name}",
        )
        with beryl_groups.start(url) as restricted:
            restricted.restore(target)
        assert contents(groups) == HOLDS


def test_a_backup_that_cannot_be_read_to_its_end_changes_nothing(
    database: str, target: Path
) -> None:
    """Where what nobody has judged is no text, that is said, and the groups are as they were."""
    made(target, HOLDS)
    run_sql(target, "UPDATE groups SET created_at = CAST(x'ff' AS TEXT)")
    with beryl_groups.start(database) as groups:
        groups.add("kept", "a", create=True)
        with pytest.raises(StorageFailed, match=r"was not restored: .*UTF-8"):
            groups.restore(target)
        assert contents(groups) == {"kept": {"a"}}


def test_moving_there_and_back_loses_nothing(
    database: str, path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands each way; when a group was created goes along, and no file is changed."""
    made(path, HOLDS)
    before = everything(path.parent)
    monkeypatch.setenv("DATABASE_URL", database)
    there, back, moved = (target.with_name(name) for name in ("there.db", "back.db", "moved.db"))
    run("backup", path, there)
    run("restore", "env:DATABASE_URL", there)
    run("backup", "env:DATABASE_URL", back)
    run("restore", moved, back)
    for each in (database, moved):
        with beryl_groups.start(each) as groups:
            assert contents(groups) == HOLDS
            assert groups.check() == []
    assert {name: before[name] for name in before} == everything(path.parent) | {
        name: before[name] for name in before
    }
    exported = [run("export", each).output for each in (path, database, moved)]
    assert exported[0] == exported[1] == exported[2]


def test_what_it_replaces_keeps_no_id(database: str, backup: Path) -> None:
    """A restored group has an id that none has had, and so has the next one that is created."""
    with beryl_groups.start(database) as groups:
        groups.create("kept")
        groups.create("gone")
        seen = {id_ for (id_,) in sql(database, "SELECT id FROM beryl_groups.groups")}
        for _ in range(2):
            groups.restore(backup)
            groups.create("next", exist_ok=True)
            now = {id_ for (id_,) in sql(database, "SELECT id FROM beryl_groups.groups")}
            assert not seen & now
            seen |= now


def test_who_reads_does_not_wait_for_a_restore(database: str, backup: Path) -> None:
    """And sees what was there until it is done."""
    holding, hold = threading.Event(), threading.Event()
    with beryl_groups.start(database) as groups, beryl_groups.start(database) as other:
        groups.add("old", "a", create=True)

        def restore() -> None:
            with groups.transaction():
                holding.set()
                hold.wait(PATIENCE)

        held = in_thread(restore)
        assert holding.wait(PATIENCE)
        restoring = in_thread(lambda: other.restore(backup))
        assert other.topics("old") == {"a"}
        hold.set()
        held.result(PATIENCE)
        restoring.result(PATIENCE)
        assert list(groups) == ["empty", "kept"]


def test_a_file_that_is_no_backup_changes_nothing(database: str, target: Path) -> None:
    """It is refused with the reason, and the groups stay."""
    target.write_text("no database")
    with beryl_groups.start(database) as groups:
        groups.add("kept", "a", create=True)
        with pytest.raises(StorageFailed, match="was not restored: it is no SQLite database"):
            groups.restore(target)
        assert contents(groups) == {"kept": {"a"}}


ACTIONS = ("", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT")


def test_rows_that_refer_to_a_group_stay(empty_database: str, backup: Path) -> None:
    """They are as they were, and refer to the group of that name, whatever its deletion does."""
    with beryl_groups.start(empty_database) as groups:
        for name in ("gone", "kept"):
            groups.add(name, "old", create=True)
        for number, action in enumerate(ACTIONS):
            sql(
                empty_database,
                f'CREATE TABLE "own {number}" (g bigint REFERENCES beryl_groups.groups {action}, '
                f"n text REFERENCES beryl_groups.groups (name) {action})",
                f'INSERT INTO "own {number}" SELECT id, name FROM beryl_groups.groups '
                "WHERE name = 'kept'",
            )
        own = " UNION ALL ".join(f'SELECT * FROM "own {number}"' for number in range(4))
        before = sql(empty_database, own)
        groups.restore(backup)
        assert contents(groups) == {"kept": {"a", "b"}, "empty": frozenset()}
        assert sql(empty_database, own) == before
        assert groups.check() == []

        groups.create("late")
        sql(empty_database, "INSERT INTO \"own 1\" (n) VALUES ('late')")
        refused = r"the table public\.\"own 1\" refers by a foreign key to the group 'late'"
        with pytest.raises(StorageFailed, match=refused):
            groups.restore(backup)
        assert contents(groups) == {"kept": {"a", "b"}, "empty": set(), "late": set()}

        sql(
            empty_database,
            "DELETE FROM \"own 1\" WHERE n = 'late'",
            "CREATE TABLE owns_topics (g bigint, t text, "
            "FOREIGN KEY (g, t) REFERENCES beryl_groups.group_topics ON DELETE CASCADE)",
            "INSERT INTO owns_topics SELECT * FROM beryl_groups.group_topics",
        )
        with pytest.raises(StorageFailed, match=r"owns_topics refers by a foreign key to to"):
            groups.restore(backup)


def test_what_is_copied_is_not_held_in_memory(database: str, target: Path) -> None:
    """A backup and a restore of 15,000 memberships take less memory than their names."""
    topics = [f"topic:{number:05}:{'x' * 80}" for number in range(5_000)]
    with beryl_groups.start(database, synchronous="normal") as groups:
        for name in ("a", "b", "c"):
            groups.add(name, *topics, create=True)
        tracemalloc.start()
        try:
            groups.backup(target)
            groups.restore(target)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert groups.topics("b") == set(topics)
    assert most < 1_000_000, most


def test_what_a_backup_calls_on_its_way_may_end_it(database: str, target: Path) -> None:
    """Nothing is left of it then, and the handle works."""

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with beryl_groups.start(database) as groups:
        groups.add("large", *(f"{number}" for number in range(30_000)), create=True)
        with pytest.raises(KeyboardInterrupt):
            groups._engine.backup(target, interrupt)
        assert names_in(target.parent) == []
        groups.backup(target)
        groups.add("large", "more")
        with pytest.raises(KeyboardInterrupt):
            groups._engine.restore(target, interrupt)
        assert "more" in groups.topics("large")
        groups.restore(target)
        assert "more" not in groups.topics("large")
