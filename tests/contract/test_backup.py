"""Copies of a database: whole, of one moment, and never in anybody's way."""

from __future__ import annotations

import itertools
import os
import re
import stat
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Closed, StorageFailed
from tests.contract.copies import contents, fill, names_in
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beryl_groups import Groups


def move_for_ever(groups: Groups, worker: int, stop: threading.Event) -> None:
    """Keep every topic in one of two groups: there is no moment at which it is in none or both."""
    here, there, mine = "left", "right", [f"{worker}:{number}" for number in range(50)]
    while not stop.is_set():
        with groups.transaction() as transaction:
            transaction.remove(here, *mine)
            transaction.add(there, *mine)
        here, there = there, here


def test_a_copy_has_all_that_the_database_has(groups: Groups, target: Path) -> None:
    """A copy opens, is sound, and holds the same groups and topics."""
    fill(groups)
    groups.backup(target)
    assert names_in(target.parent) == [target.name]
    with beryl_groups.start(target) as copy:
        assert contents(copy) == contents(groups)
        assert copy.check() == []


def test_a_copy_is_of_one_moment_while_others_write(groups: Groups, target: Path) -> None:
    """Each backup made while 4 threads write is sound and shows no transaction by halves."""
    topics = {f"{worker}:{number}" for worker in range(4) for number in range(50)}
    groups.create("left")
    groups.create("right")
    groups.add("left", *topics)
    stop = threading.Event()
    writers = [in_thread(partial(move_for_ever, groups, worker, stop)) for worker in range(4)]
    seen: set[frozenset[str]] = set()
    try:
        for number in itertools.count():
            if number >= 10 and len(seen) > 3:  # so that others did write between the copies
                break
            path = target.with_name(f"copy{number}.db")
            groups.backup(path)
            with beryl_groups.start(path) as copy:
                assert copy.check() == []
                left, right = copy.topics("left"), copy.topics("right")
            assert left | right == topics
            assert not left & right
            seen.add(left)
    finally:
        stop.set()
        for writer in writers:
            writer.result(PATIENCE)


def test_a_copy_goes_its_own_way(groups: Groups, target: Path) -> None:
    """What is written to the copy or to the original after the backup is in that one alone."""
    groups.create("both")
    groups.backup(target)
    groups.create("original")
    with beryl_groups.start(target) as copy:
        copy.create("copy")
        assert list(copy) == ["both", "copy"]
    assert list(groups) == ["both", "original"]


def test_a_copy_made_in_a_transaction_does_not_hold_it(groups: Groups, target: Path) -> None:
    """A backup in a thread that has a transaction open holds what was committed before it."""
    groups.create("before")
    with groups.transaction() as transaction:
        transaction.create("inside")
        groups.backup(target)
    with beryl_groups.start(target) as copy:
        assert list(copy) == ["before"]


@pytest.mark.parametrize("path_type", [str, os.path.abspath, os.path.relpath])
def test_a_copy_takes_a_path_of_any_kind(
    groups: Groups,
    target: Path,
    path_type: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A path may be a str or a pathlib.Path, absolute or not, and hold any characters."""
    monkeypatch.chdir(target.parent)
    path = target.with_name("a copy %41 ?mode=ro #1 é.db")
    groups.backup(path_type(str(path)))
    assert names_in(target.parent) == [path.name]


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_a_copy_is_for_its_owner_alone(groups: Groups, target: Path, umask: int) -> None:
    """A copy has mode 0600 under any umask."""
    before = os.umask(umask)
    try:
        groups.backup(target)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def make_file(target: Path) -> None:
    target.write_text("precious")


def make_folder(target: Path) -> None:
    target.mkdir()


def make_link_to_a_file(target: Path) -> None:
    target.with_name("precious.txt").write_text("precious")
    target.symlink_to("precious.txt")


def make_link_to_nothing(target: Path) -> None:
    target.symlink_to("nothing.db")


@pytest.mark.parametrize(
    "occupy", [make_file, make_folder, make_link_to_a_file, make_link_to_nothing]
)
def test_a_backup_overwrites_nothing(
    groups: Groups, target: Path, occupy: Callable[[Path], None]
) -> None:
    """A path at which there is anything, even a link to nothing, is refused and left as it was."""
    occupy(target)
    before = [(each.name, each.lstat()[:9]) for each in sorted(target.parent.iterdir())]
    with pytest.raises(StorageFailed, match=re.escape(f"{str(target)!r} was not made: there is")):
        groups.backup(target)
    assert [(each.name, each.lstat()[:9]) for each in sorted(target.parent.iterdir())] == before
    groups.create("the handle works")


@pytest.mark.parametrize("missing", ["nowhere/copy.db", "groups.db/copy.db"])
def test_a_backup_into_no_folder_is_refused(groups: Groups, tmp_path: Path, missing: str) -> None:
    """Where there is no folder to write to, a sentence names the path and nothing is made."""
    before = sorted(tmp_path.iterdir())
    target = tmp_path / missing
    with pytest.raises(StorageFailed, match=re.escape(f"{str(target)!r} was not made")):
        groups.backup(target)
    assert sorted(tmp_path.iterdir()) == before


def test_a_closed_handle_makes_no_copy(groups: Groups, target: Path) -> None:
    """A backup through a closed handle raises Closed and leaves nothing."""
    groups.close()
    with pytest.raises(Closed):
        groups.backup(target)
    assert names_in(target.parent) == []


def test_one_of_many_backups_to_one_path_is_made(groups: Groups, target: Path) -> None:
    """Of threads that copy to the same path at once one succeeds, and its copy is whole."""
    fill(groups)
    started = threading.Barrier(4)

    def copy() -> bool:
        started.wait(PATIENCE)
        try:
            groups.backup(target)
        except StorageFailed:
            return False
        return True

    made = [in_thread(copy) for _ in range(4)]
    assert [each.result(PATIENCE) for each in made].count(True) == 1
    assert names_in(target.parent) == [target.name]
    with beryl_groups.start(target) as copied:
        assert contents(copied) == contents(groups)
