"""Backups put back in the place of what a database holds, whole, while others are at work."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Busy, Closed, GroupError
from tests.contract.copies import contents, fill, made
from tests.processes import PATIENCE, context, finish_killed, in_thread, start
from tests.sqlite.opening import everything

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

    from beryl_groups import Groups

HIGHEST_IDS = "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'groups'), max(id) FROM groups"


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
    groups: Groups, database: str, backup: Path
) -> None:
    """What they have kept in memory, here or elsewhere, is not given any more."""
    groups.create("old")
    here, there = context.Pipe()
    process = start(answer, database, there)
    with beryl_groups.start(database) as other:
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


def answer(database: str, there: Connection) -> None:
    with beryl_groups.start(database) as groups:
        while there.recv():
            there.send(list(groups))


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


@pytest.mark.slow
def test_killed_at_any_moment_it_has_happened_or_it_has_not(
    database: str, backup: Path, times: Callable[[int, int], int]
) -> None:
    """After each of some kills the database holds one backup whole, and all calls work."""
    choice = random.Random()
    sides = [
        made(backup.with_name(f"{side}.db"), {side: {f"{side}:{n}" for n in range(5000)}})
        for side in ("left", "right")
    ]
    with beryl_groups.start(database) as groups:
        groups.restore(sides[0])
    seen = set()
    for _ in range(kills := times(25, 3)):
        here, there = context.Pipe()
        process = start(restore_for_ever, database, sides, there)
        for _ in range(choice.randrange(1, 4)):
            assert here.poll(PATIENCE)
            here.recv()
        time.sleep(choice.random() * 0.1)
        process.kill()
        finish_killed(process)
        with beryl_groups.start(database) as groups:
            (side,) = groups
            assert groups.topics(side) == {f"{side}:{n}" for n in range(5000)}
            assert groups.check() == []
        seen.add(side)
    assert seen == {"left", "right"} or kills < 25


def restore_for_ever(database: str, sides: list[Path], there: Connection) -> None:
    with beryl_groups.start(database) as groups:
        while True:
            for side in sides:
                groups.restore(side)
                there.send(None)
