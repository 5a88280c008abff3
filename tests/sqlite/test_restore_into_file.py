"""What a restore leaves in the file and beside it."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Busy, StorageFailed
from tests.contract.copies import contents, made, names_in
from tests.frozen.make import FOLDER, GROUPS
from tests.processes import gather
from tests.sqlite.opening import everything, run_sql
from tests.torture.storage import missing, preloaded, scratch

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups

HIGHEST_IDS = "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'groups'), max(id) FROM groups"


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
        run_sql(backup, "UPDATE groups SET name = '' WHERE name = 'kept'")
        with pytest.raises(StorageFailed):
            groups.restore(backup)
        assert list(groups) == ["empty", "kept"]
    assert names_in(path.parent) == ["backups", path.name]


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


@pytest.mark.skipif(missing() is not None, reason=missing() or "it can be watched")
def test_a_restore_is_on_disk_when_it_returns_whatever_other_calls_are() -> None:
    """Where ``synchronous="normal"`` spares calls the wait for the disk, a restore waits for it."""
    with (
        scratch() as folder,
        preloaded(folder, None, "tests.sqlite.failing_restore", "unsynced", str(folder)) as process,
    ):
        assert process.stdout is not None
        told, *held = process.stdout.read().splitlines()
    assert "failed: the disk reports a fault" in told
    assert held == ["['before', 'unsynced']", "['restored', 'unsynced']"]


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
