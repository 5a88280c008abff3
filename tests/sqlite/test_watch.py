"""Watches of a file: what others do to it, and what SQLite is asked for it."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Change, StorageFailed, lookout, sqlite
from beryl_groups.sqlite import seen
from tests.contract.watching import Follower, take
from tests.processes import PATIENCE, gather, open_files, opened_since, shell
from tests.sqlite.opening import (
    everything,
    folder_for_all,
    give_to_nobody,
    run_sql,
    unprivileged,
)
from tests.sqlite.store import store
from tests.sqlite.test_damage import broken_schema
from tests.sqlite.test_shell import EDITS

if TYPE_CHECKING:
    from collections.abc import Set
    from pathlib import Path

    from beryl_groups import Groups
    from beryl_groups.changes import Difference
    from beryl_groups.engine import Range


def test_edits_made_with_the_shell_are_told(groups: Groups, path: Path) -> None:
    """A row changed by hand, a cascade or a group that leaves its rows behind: all is told."""
    groups.add("old", "a", create=True)
    follower = Follower({"old": {"a"}})
    with groups.watch(follower):
        for sql, model in EDITS:
            shell(path, sql)
            follower.wait_for(model)


def test_a_replaced_row_is_told(groups: Groups, path: Path) -> None:
    """REPLACE deletes where no trigger and no hook would see it."""
    groups.add("old", "a", create=True)
    with groups.watch() as changes:
        shell(path, "REPLACE INTO groups (name) VALUES ('old')")
        assert take(changes, 2) == [
            Change("deleted", "old", frozenset({"a"})),
            Change("created", "old"),
        ]


def test_ids_exchanged_by_hand_are_told(groups: Groups, path: Path) -> None:
    """Whatever becomes of the ids, what is told leads to what is there."""
    model = {name: {f"of {name}"} for name in "abc"}
    for name in model:
        groups.add(name, f"of {name}", create=True)
    follower = Follower(model)
    with groups.watch(follower):
        shell(path, "UPDATE groups SET id = -id; UPDATE groups SET id = id + 4")
        follower.wait_for({"a": {"of c"}, "b": {"of b"}, "c": {"of a"}})


def test_a_migration_beside_a_watch_is_nothing_to_tell(groups: Groups, path: Path) -> None:
    """Tables that are made anew with what they held hold the same, and the watch goes on."""
    groups.add("team", "a", create=True)
    with groups.watch() as changes:
        run_sql(
            path,
            "PRAGMA foreign_keys = OFF",
            "PRAGMA legacy_alter_table = ON",
            "BEGIN IMMEDIATE",
            "CREATE TABLE later (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
            "created_at TEXT NOT NULL DEFAULT 'now', note TEXT) STRICT",
            "INSERT INTO later (id, name, created_at) SELECT id, name, created_at FROM groups",
            "DROP TABLE groups",
            "ALTER TABLE later RENAME TO groups",
            "COMMIT",
        )
        groups.add("team", "b")
        assert take(changes) == [Change("added", "team", frozenset({"b"}))]


def write(database: str, number: int) -> None:
    with beryl_groups.start(database) as groups:
        groups.add("team", str(number), create=True)


@pytest.mark.parametrize("moment", ["before it is read", "after it was read"])
def test_a_commit_in_the_middle_of_a_look_is_told(
    groups: Groups, database: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Nothing is lost between the version and what is read, though nothing is written later."""
    see, others = seen.see, iter(range(1))

    def see_beside_another(connection: object) -> object:
        def write_once() -> None:
            for number in others:
                gather(write, [(database, number)])

        if moment == "before it is read":
            write_once()
        difference = see(connection)  # type: ignore[arg-type]
        write_once()
        return difference

    follower = Follower()
    with groups.watch(follower):
        monkeypatch.setattr(seen, "see", see_beside_another)
        groups.create("first")
        follower.wait_for({"first": set(), "team": {"0"}})


def watch_and_change(path: Path) -> tuple[bool, list[Change]]:
    with beryl_groups.start(path) as groups, groups.watch() as changes:
        before = everything(path.parent)
        looked = threading.Event()
        groups.watch(lambda change: looked.set(), known={})  # which has read it all
        assert looked.wait(PATIENCE)
        untouched = everything(path.parent) == before
        path.parent.chmod(0o755)
        path.chmod(0o644)
        write(str(path), 7)
        return untouched, take(changes)


@pytest.mark.parametrize("modes", [(0o755, 0o444), (0o555, 0o644), (0o555, 0o444)], ids=repr)
def test_a_file_that_may_only_be_read_is_watched(modes: tuple[int, int]) -> None:
    """Nothing is written to it nor beside it, and who may write it is told of all the same."""
    with folder_for_all() as shared:
        folder = shared / "folder"
        folder.mkdir()
        path = folder / "groups.db"
        with beryl_groups.start(path) as groups:
            groups.create("team")
        give_to_nobody(folder, path)
        path.chmod(modes[1])
        folder.chmod(modes[0])
        untouched, told = unprivileged(watch_and_change, path)
        folder.chmod(0o755)
    assert untouched
    assert told == [Change("added", "team", frozenset({"7"}))]


def test_nothing_is_written(groups: Groups, path: Path) -> None:
    """The file and its WAL stay as they are, however long it is watched."""
    groups.create("team")
    before = everything(path.parent)
    with groups.watch(interval=0.001), groups.watch(known={}) as changes:
        take(changes)
    assert everything(path.parent) == before


def test_a_storage_error_is_logged_once_and_then_nothing_is_missed(
    groups: Groups, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A watch goes on as soon as it can, and tells what was written meanwhile."""
    shell(path, "CREATE TABLE log (line TEXT)")
    follower = Follower()
    failed = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: failed.set()  # type: ignore[method-assign]
    logger = logging.getLogger("beryl_groups")
    logger.addHandler(handler)
    try:
        with groups.watch(follower, interval=0.001):
            with broken_schema(path):
                assert failed.wait(PATIENCE)
                failed.clear()
                assert not failed.wait(0.1)  # a hundred tries
            groups.create("team")
            follower.wait_for({"team": set()})
    finally:
        logger.removeHandler(handler)
    messages = [each for each in caplog.messages if "A watch cannot read" in each]
    assert len(messages) == 1
    assert "the file is damaged" in messages[0]


def test_a_database_that_cannot_be_read_is_not_watched(groups: Groups, path: Path) -> None:
    """What keeps the first look from its end is raised, and no thread is left."""
    shell(path, "CREATE TABLE log (line TEXT)")
    with broken_schema(path), pytest.raises(StorageFailed, match="the file is damaged"):
        groups.watch()
    with groups.watch() as changes:
        groups.create("team")
        assert take(changes) == [Change("created", "team")]


def test_a_database_in_memory_is_watched() -> None:
    """It is a file as well, and ends with its handle."""
    with beryl_groups.start(":memory:") as groups:
        changes = groups.watch()
        groups.create("team")
        assert take(changes) == [Change("created", "team")]
    assert list(changes) == []


def test_one_connection_serves_all_watches(groups: Groups, database: str) -> None:
    """However many there are, the file is opened and read once for them all."""
    first = groups.watch()
    groups.create("team")
    take(first)
    before = open_files()
    others = [groups.watch(prefix=str(number)) for number in range(10)]
    groups.create("5")
    take(others[5])
    assert opened_since(before) == []


def test_tables_of_the_application_are_left_alone(groups: Groups, path: Path) -> None:
    """A table that is called as one of those that the watch has in memory is another one."""
    for table in ("topics", "ranges", "seen"):
        shell(path, f"CREATE TABLE {table} (id, name, topic, group_id)")
    with groups.watch() as changes:
        groups.add("team", "a", create=True)
        assert take(changes) == [Change("created", "team", frozenset({"a"}))]
        groups.rename("team", "crew")
        take(changes)
    assert shell(path, "SELECT * FROM topics, ranges, seen") == ""


def test_looks_are_farther_apart_where_there_is_much_to_read(groups: Groups) -> None:
    """Who writes without a pause has no more than a twentieth of a processor kept busy."""
    groups.add("team", *map(str, range(20_000)), create=True)
    taken: list[tuple[float, float]] = []
    with groups.watch():
        (engine,) = store(groups).looks
        look = engine.look

        def counted(ranges: Set[Range]) -> Difference:
            begin, used = time.monotonic(), time.thread_time()
            try:
                return look(ranges)
            finally:
                taken.append((begin, time.thread_time() - used))

        engine.look = counted  # type: ignore[method-assign]
        for number in itertools.count():
            groups.add("team", f"more {number}")
            if len(taken) > 4:
                break
    spent = sum(used for _, used in taken[:4])
    late = 0.05  # this reads the clock after who looks has, and other threads may run between
    assert taken[4][0] - taken[0][0] > 20 * spent - lookout._SLACK - late


def test_the_driver_knows_databases_in_memory_that_have_a_name() -> None:
    """What was seen is kept in one, which SQLite has had for longer than what is needed else."""
    assert sqlite.driver.sqlite_version_info >= (3, 36, 0)
