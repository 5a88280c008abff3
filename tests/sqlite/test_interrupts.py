"""Ctrl-C at each step of what waits in line, or opens and closes files."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Closed
from beryl_groups.sqlite.files import create_for_owner
from tests.contract.interrupter import SHARES, Interrupter, at_steps
from tests.contract.test_interrupts import add_two, in_process, make_group, whole
from tests.processes import PATIENCE, in_thread, open_files, wait_until
from tests.sqlite.store import store

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from beryl_groups import Groups


def interrupt_those_that_wait(path: Path) -> int:
    """Interrupt a call that has waited for its turn, with another waiting behind it."""

    def queued(number: int) -> bool:
        return over.is_set() or len(store(groups)._writer._queue) >= number

    def hold() -> None:
        with groups.transaction():
            held.set()
            wait_until(lambda: queued(1))
            behind.append(in_thread(partial(groups.add, "group", "behind")))
            wait_until(lambda: queued(2))

    def attempt(interrupter: Interrupter) -> None:
        held.clear()
        over.clear()
        holder = in_thread(hold)
        assert held.wait(PATIENCE)
        interrupter.call(partial(add_two, groups))
        over.set()
        holder.result(PATIENCE)
        behind.pop().result(PATIENCE)
        assert "behind" in groups.topics("group")
        whole(groups)
        groups.set_topics("group", [])

    held, over = threading.Event(), threading.Event()
    behind: list[Future[None]] = []
    make_group(str(path))
    with beryl_groups.start(path, busy_timeout=PATIENCE, synchronous="normal") as groups:
        steps = at_steps(attempt)
        assert groups.check() == []
    return steps


@pytest.mark.slow
def test_a_call_interrupted_in_line_leaves_those_behind_it_served(path: Path) -> None:
    """A call that Ctrl-C ends as it waits, leads or carries others out keeps nobody waiting."""
    in_process(interrupt_those_that_wait, path)


def still_open(path: Path) -> list[str]:
    return [name for name in open_files() if name.startswith(str(path))]


def interrupt_backups(path: Path) -> int:
    def attempt(interrupter: Interrupter) -> None:
        with beryl_groups.start(path) as groups:
            interrupter.call(lambda: groups.backup(target))
        if still_open(target.parent):
            gc.collect()  # a connection that nobody came to close holds itself until then
        assert not still_open(target.parent)
        made = list(target.parent.iterdir())
        assert made in ([], [target])
        if made:
            with beryl_groups.start(target) as copy:
                assert list(copy) == ["group"]
            target.unlink()

    target = path.parent / "copies" / "copy.db"
    target.parent.mkdir()
    make_group(str(path))
    return at_steps(attempt, apart=2)


def test_a_backup_interrupted_at_any_step_leaves_a_whole_copy_or_none(path: Path) -> None:
    """A backup that Ctrl-C ends leaves a copy that opens, or nothing at all, and nothing open."""
    in_process(interrupt_backups, path)


def interrupt_restores(path: Path, share: int) -> int:
    def attempt(interrupter: Interrupter) -> None:
        with beryl_groups.start(path, synchronous="normal") as groups:
            groups.create("before", exist_ok=True)
            interrupter.call(lambda: groups.restore(backup))
            assert list(groups) in (["before", "group"], ["group"])
            groups.add("group", "after")
            assert groups.topics("group") == {"after"}
            groups.set_topics("group", [])
        gc.collect()
        assert not still_open(path.parent)
        assert sorted(each.name for each in path.parent.iterdir()) == ["backup.db", path.name]

    backup = path.with_name("backup.db")
    make_group(str(path))
    with beryl_groups.start(path) as groups:
        groups.backup(backup)
    return at_steps(attempt, 7, share)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_a_restore_interrupted_at_any_step_has_happened_or_not(path: Path, share: int) -> None:
    """After a restore that Ctrl-C ends the next calls work, and nothing is left beside the file."""
    in_process(interrupt_restores, path, share)


def interrupt_an_opening(path: Path) -> int:
    """Have an interrupt come while the system opens a file, so that it shows right after it."""
    # A hook of C's, for a hook in Python would be interrupted itself.
    kind = ctypes.PYFUNCTYPE(None, *[ctypes.py_object] * 2)
    sys.addaudithook(kind(("PyErr_SetInterrupt", ctypes.pythonapi)))
    with pytest.raises(KeyboardInterrupt):
        create_for_owner(path)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert path.exists()
    assert not still_open(path)
    return 100


def test_a_file_that_was_being_opened_is_closed(path: Path) -> None:
    """A descriptor is not lost where Ctrl-C comes before anybody has taken note of it."""
    in_process(interrupt_an_opening, path)


def interrupt_starts_and_closes(path: Path, share: int) -> int:
    def attempt(interrupter: Interrupter) -> None:
        handles: list[Groups] = []

        def open_and_close() -> None:
            handles.append(beryl_groups.start(path))
            handles[0].close()

        interrupter.call(open_and_close)
        for groups in handles:
            groups.close()
            with pytest.raises(Closed):
                groups.topics("group")
        gc.collect()
        assert not still_open(path)

    make_group(str(path))
    steps = at_steps(attempt, 3, share)
    with beryl_groups.start(path) as groups:
        assert groups.check() == []
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_a_start_or_close_interrupted_at_any_step_leaves_nothing_open(
    path: Path, share: int
) -> None:
    """A start that Ctrl-C ends leaves no descriptor; nor does a close that is called again."""
    in_process(interrupt_starts_and_closes, path, share)
