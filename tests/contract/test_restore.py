"""Backups put back in the place of what a database holds, whole, while others are at work."""

from __future__ import annotations

import os
import random
import resource
import threading
import time
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Busy, Closed, GroupError, StorageFailed
from tests.contract.test_backup import contents, fill, names_in
from tests.frozen.make import FOLDER, GROUPS
from tests.processes import PATIENCE, context, finish_killed, gather, in_thread, start
from tests.sqlite.opening import everything, run_sql

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from beryl_groups import Groups

HIGHEST_IDS = "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'groups'), max(id) FROM groups"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of two groups, in a folder of its own."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return made(folder / "last-night.db", {"kept": {"a", "b"}, "empty": set()})


def made(path: Path, groups_of_it: dict[str, set[str]]) -> Path:
    with beryl_groups.start(":memory:") as groups:
        for name, topics in groups_of_it.items():
            groups.create(name)
            groups.set_topics(name, topics)
        groups.backup(path)
    return path


def test_all_that_the_database_holds_is_replaced(groups: Groups, backup: Path) -> None:
    """There is what the backup holds, and nothing else; the file is sound, the backup as it was."""
    fill(groups)
    groups.create("kept")
    groups.add("kept", "other")
    before = everything(backup.parent)

    groups.restore(backup)

    assert contents(groups) == {"kept": {"a", "b"}, "empty": frozenset()}
    assert groups.groups_of("a") == ["kept"]
    assert groups.groups_of("other") == []
    assert groups.check() == []
    assert everything(backup.parent) == before


@pytest.mark.parametrize("path_type", [str, os.fspath, os.path.relpath])
def test_a_backup_is_named_by_any_kind_of_path(
    groups: Groups, backup: Path, path_type: type
) -> None:
    """A str, absolute or relative, does as well as a Path; another type is a TypeError."""
    groups.restore(path_type(backup))
    assert list(groups) == ["empty", "kept"]
    for wrong in (b"x.db", 5, None):
        with pytest.raises(TypeError):
            groups.restore(wrong)  # type: ignore[arg-type]


def test_other_handles_and_processes_see_it_at_their_next_call(
    groups: Groups, path: Path, backup: Path
) -> None:
    """What they have kept in memory, here or elsewhere, is not given any more."""
    groups.create("old")
    here, there = context.Pipe()
    process = start(answer, path, there)
    with beryl_groups.start(path) as other:
        for _ in range(2):
            assert other.topics("old") == frozenset()
            assert list(groups) == ask(here) == ["old"]

        groups.restore(backup)

        assert list(other) == ask(here) == ["empty", "kept"]
        with pytest.raises(beryl_groups.NotFound):
            other.topics("old")
    here.send(False)
    process.join(PATIENCE)
    assert process.exitcode == 0


def ask(here: Connection) -> list[str]:
    here.send(True)
    assert here.poll(PATIENCE)
    return here.recv()  # type: ignore[no-any-return]


def answer(path: Path, there: Connection) -> None:
    with beryl_groups.start(path) as groups:
        while there.recv():
            there.send(list(groups))


def test_no_id_is_given_twice(groups: Groups, path: Path, backup: Path, tmp_path: Path) -> None:
    """A restored group is none that was there; the next one comes after all of both files."""
    for number in range(5):
        groups.create(str(number))
    groups.delete("4")
    groups.restore(backup)
    ids = run_sql(path, "SELECT id FROM groups ORDER BY id")
    assert ids == [(6,), (7,)]
    groups.create("next")
    assert run_sql(path, HIGHEST_IDS) == [(8, 8)]

    with beryl_groups.start(tmp_path / "new.db") as new:
        for number in range(20):
            new.create(str(number))
            new.delete(str(number))
        new.backup(backup.with_name("empty.db"))
    groups.restore(backup.with_name("empty.db"))
    groups.create("next")
    assert run_sql(path, HIGHEST_IDS) == [(21, 21)]


def test_a_group_keeps_the_time_of_its_creation(groups: Groups, path: Path, backup: Path) -> None:
    """It was created when it was, and not when it was restored."""
    created = run_sql(
        backup,
        "UPDATE groups SET created_at = '2001-02-03T04:05:06.789Z'",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    groups.restore(backup)
    created = run_sql(path, "SELECT DISTINCT created_at FROM groups")
    assert created == [("2001-02-03T04:05:06.789Z",)]


def test_tables_of_the_users_own_stay(groups: Groups, path: Path, backup: Path) -> None:
    """A program's own table in the file is as it was; one in the backup does not come along."""
    run_sql(path, "CREATE TABLE mine (x)", "INSERT INTO mine VALUES (5)")
    run_sql(backup, "CREATE TABLE mine (x)", "CREATE TABLE theirs (x)")
    groups.restore(backup)
    assert run_sql(path, "SELECT x FROM mine") == [(5,)]
    assert run_sql(path, "SELECT name FROM sqlite_schema WHERE name = 'theirs'") == []


@pytest.mark.parametrize("revision", beryl_groups.revisions.REVISIONS)
def test_an_older_backup_is_migrated_on_the_way(
    groups: Groups, tmp_path: Path, revision: str
) -> None:
    """The backup of any released revision is restored, and stays of that revision."""
    frozen = FOLDER / f"{revision}.db"
    backup = tmp_path / "backups" / "frozen.db"
    backup.parent.mkdir()
    backup.write_bytes(frozen.read_bytes())
    backup.chmod(0o400)
    groups.restore(backup)
    assert contents(groups) == GROUPS
    assert groups.check() == []
    assert everything(backup.parent) == {"frozen.db": frozen.read_bytes()}


def test_a_database_in_memory_takes_a_backup(backup: Path) -> None:
    """What lives in memory can begin with what was kept."""
    with beryl_groups.start(":memory:") as groups:
        groups.restore(backup)
        assert list(groups) == ["empty", "kept"]


def test_nothing_of_it_is_left_beside_the_file(path: Path, backup: Path) -> None:
    """The draft is gone after a restore that was done, and after one that was refused."""
    with beryl_groups.start(path) as groups:
        groups.restore(backup)
        run_sql(backup, "INSERT INTO group_topics VALUES (99, 'orphan')")
        with pytest.raises(StorageFailed):
            groups.restore(backup)
        assert list(groups) == ["empty", "kept"]
    assert names_in(path.parent) == ["backups", path.name]


def test_a_restore_inside_an_own_transaction_is_refused_at_once(
    groups: Groups, backup: Path
) -> None:
    """It would wait for itself; the transaction goes on."""
    with groups.transaction() as transaction:
        transaction.create("inside")
        with pytest.raises(GroupError, match="This thread has a transaction open") as refused:
            groups.restore(backup)
        assert not isinstance(refused.value, Busy)
        assert not hasattr(transaction, "restore")
    assert list(groups) == ["inside"]


def test_a_restore_waits_for_a_writer_and_no_longer(path: Path, backup: Path) -> None:
    """Another's transaction that does not end is Busy, and nothing has changed."""
    with (
        beryl_groups.start(path) as other,
        beryl_groups.start(path, busy_timeout=0.1) as groups,
        other.transaction() as transaction,
    ):
        transaction.create("theirs")
        with pytest.raises(Busy):
            groups.restore(backup)
        assert list(groups) == []
    assert sorted(names_in(path.parent)) == ["backups", path.name]


def test_writes_beside_a_restore_come_before_it_or_after_it(groups: Groups, backup: Path) -> None:
    """What another thread adds is in the restored group or was replaced; none of it fails."""
    groups.create("kept")
    stop = threading.Event()

    def write() -> int:
        number = 0
        while not stop.is_set():
            number += 1
            groups.add("kept", f"late:{number}")
        return number

    writing = in_thread(write)
    try:
        for _ in range(10):
            groups.restore(backup)
    finally:
        stop.set()
    last = writing.result(PATIENCE)
    late = groups.topics("kept") - {"a", "b"}
    assert late == {f"late:{number}" for number in range(last + 1 - len(late), last + 1)}


def test_a_closed_handle_restores_nothing(groups: Groups, backup: Path) -> None:
    """It is refused as every call of a closed handle is."""
    groups.close()
    with pytest.raises(Closed, match="has been closed"):
        groups.restore(backup)


def test_a_restore_that_runs_out_of_disk_changes_nothing(path: Path, backup: Path) -> None:
    """Where there is no room for it all is as before, and the next call works."""
    sentence, after = gather(restore_without_room, [(path, backup)])[0]
    assert "disk is full" in sentence or "failed" in sentence
    assert after == ["before"]
    assert sorted(names_in(path.parent)) == ["backups", path.name]


def restore_without_room(path: Path, backup: Path) -> tuple[str, list[str]]:
    """A limit on the size of files stands for the end of the disk, met at each size in turn."""
    topics = {f"{number:06}" for number in range(30_000)}
    large = made(backup.with_name("large.db"), {"large": topics})
    sentences = []
    with beryl_groups.start(path) as groups:
        groups.create("before")
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        for room in (100_000, large.stat().st_size + 50_000):  # for the draft, and for the WAL
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
            with pytest.raises(StorageFailed) as failure:
                groups.restore(large)
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            sentences.append(str(failure.value))
            after = list(groups)
            groups.add("before", "afterwards")
    assert "was not restored" in sentences[0]
    assert str(path) in sentences[1]
    return sentences[1], after


@pytest.mark.slow
def test_killed_at_any_moment_it_has_happened_or_it_has_not(path: Path, backup: Path) -> None:
    """After each of 25 kills the file holds one backup whole, and all calls work."""
    choice = random.Random()
    sides = [
        made(backup.with_name(f"{side}.db"), {side: {f"{side}:{n}" for n in range(5000)}})
        for side in ("left", "right")
    ]
    with beryl_groups.start(path) as groups:
        groups.restore(sides[0])
    seen = set()
    for _ in range(25):
        here, there = context.Pipe()
        process = start(restore_for_ever, path, sides, there)
        assert here.poll(PATIENCE)
        time.sleep(choice.random() * 0.15)
        process.kill()
        finish_killed(process)
        with beryl_groups.start(path) as groups:
            (side,) = groups
            assert groups.topics(side) == {f"{side}:{n}" for n in range(5000)}
            assert groups.check() == []
        seen.add(side)
    assert seen == {"left", "right"}


def restore_for_ever(path: Path, sides: list[Path], there: Connection) -> None:
    with beryl_groups.start(path) as groups:
        while True:
            for side in sides:
                groups.restore(side)
                there.send(None)
