"""What a fork leaves of a file, and of calls that wait in line."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from tests.contract.test_fork import CALLS_OF_A_HANDLE, all_refused, make_group, refusals
from tests.processes import PATIENCE, Fork, in_thread, wait_until
from tests.sqlite.store import store

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork"),
    # Python 3.12 and later warn of every fork beside threads, for the sake of locks that they
    # hold. That such a fork does no harm to a handle is what is shown here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def test_a_child_is_refused_the_handle_while_others_wait(path: Path) -> None:
    """So it is at once where other threads waited to write at the moment of the fork."""
    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        make_group(groups)
        held = threading.Event()

        def queued(number: int) -> bool:
            return len(store(groups)._writer._queue) == number

        def hold() -> None:
            with groups.transaction():
                held.set()
                wait_until(lambda: queued(4))

        holder = in_thread(hold)
        assert held.wait(PATIENCE)

        def wait_behind_the_fork(number: int) -> None:
            wait_until(lambda: queued(number))
            groups.add("group", f"{number}")

        waiting = [in_thread(partial(wait_behind_the_fork, number)) for number in (1, 2, 3)]
        child = Fork(lambda: refusals(groups, CALLS_OF_A_HANDLE))
        assert child.result() == all_refused(child.pid)
        for each in (holder, *waiting):
            each.result(PATIENCE)
        assert groups.topics("group") == {"a", "1", "2", "3"}


@pytest.mark.slow
def test_a_child_may_close_the_handle(groups: Groups, path: Path) -> None:
    """close(), the end of a with block and the end of the child do its parent no harm."""
    make_group(groups)

    def leave() -> None:
        with groups:
            groups.close()
        groups.close()
        gc.collect()

    for turn in range(5):
        Fork(leave).result()
        groups.add("group", f"{turn}")
        assert path.with_name("groups.db-wal").exists()
    assert groups.topics("group") == {"a", *"01234"}
    assert groups.check() == []


def test_a_child_gets_no_warning_of_the_handle(path: Path) -> None:
    """A handle that its parent has left to it warns no child, not even as garbage."""
    open_handles = {"one": beryl_groups.start(path), "two": beryl_groups.start(":memory:")}

    def lose() -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            open_handles.clear()
            gc.collect()
        return [str(each.message) for each in caught]

    try:
        assert Fork(lose).result() == []
        open_handles["two"].create("its file is still there")
    finally:
        for groups in open_handles.values():
            groups.close()
