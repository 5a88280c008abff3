"""What a fork leaves to a child of an open handle: nothing it could do harm with."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import GroupError
from tests.processes import PATIENCE, Fork, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups, Transaction

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork"),
    # Python 3.12 and later warn of every fork beside threads, for the sake of locks that they
    # hold. That such a fork does no harm to a handle is what is shown here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def in_a_transaction(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.create("new")


CALLS: dict[str, Callable[[Any], object]] = {
    "create": lambda groups: groups.create("new"),
    "delete": lambda groups: groups.delete("group"),
    "rename": lambda groups: groups.rename("group", "new"),
    "add": lambda groups: groups.add("group", "b"),
    "remove": lambda groups: groups.remove("group", "a"),
    "set_topics": lambda groups: groups.set_topics("group", ["b"]),
    "topics": lambda groups: groups.topics("group"),
    "list_groups": lambda groups: groups.list_groups(),
    "groups_of": lambda groups: groups.groups_of("a"),
    "in": lambda groups: "group" in groups,
    "len": len,
    "iter": list,
    "broadcast": lambda groups: groups.broadcast(print, "group", "event", None),
}
CALLS_OF_A_HANDLE = CALLS | {
    "transaction": in_a_transaction,
    "backup": lambda groups: groups.backup("a copy that is never made"),
    "restore": lambda groups: groups.restore("a backup that is never read"),
    "check": lambda groups: groups.check(),
    "watch": lambda groups: groups.watch(),
}


def make_group(groups: Groups) -> None:
    groups.create("group")
    groups.add("group", "a")


def refusals(groups: Groups | Transaction, calls: dict[str, Callable[[Any], object]]) -> Any:
    """Tell how each call is refused; what is not refused is the call's result."""
    said: dict[str, object] = {}
    for name, call in calls.items():
        try:
            said[name] = call(groups)
        except GroupError as error:
            said[name] = (type(error).__name__, str(error))
    return said


def all_refused(pid: int) -> dict[str, tuple[str, str]]:
    """Give what a child with this process for its parent has to say to each call."""
    sentence = (
        f"The handle belongs to process {os.getpid()}, from which this process {pid} was forked: "
        "open the database here with start()."
    )
    return dict.fromkeys(CALLS_OF_A_HANDLE, ("Closed", sentence))


def test_a_child_is_refused_the_handle(groups: Groups) -> None:
    """Every method of a handle raises Closed in a forked child, with a sentence that helps."""
    make_group(groups)
    child = Fork(lambda: refusals(groups, CALLS_OF_A_HANDLE))
    assert child.result() == all_refused(child.pid)
    assert groups.topics("group") == {"a"}
    assert groups.check() == []


def test_a_child_opens_the_file_anew(groups: Groups, database: str) -> None:
    """start() in the child works while the parent goes on, and each sees what the other wrote."""
    make_group(groups)
    here, there = multiprocessing.Pipe()

    def child_takes_turns() -> list[str]:
        with beryl_groups.start(database) as own:
            for turn in range(10):
                own.create(f"child:{turn}")
                there.send("your turn")
                assert there.poll(PATIENCE)
                there.recv()
                assert f"parent:{turn}" in own
            return own.check()

    with here, there:
        child = Fork(child_takes_turns)
        for turn in range(10):
            assert here.poll(PATIENCE)
            here.recv()
            assert f"child:{turn}" in groups
            groups.create(f"parent:{turn}")
            here.send("your turn")
        assert child.result() == []
    assert len(groups) == 21
    assert groups.check() == []


@pytest.mark.parametrize("parent_goes_on", [True, False])
def test_a_parent_that_closes_takes_nothing_from_a_child(
    database: str, parent_goes_on: bool
) -> None:
    """What a child has acknowledged is there, though its parent closed its handle meanwhile."""
    groups = beryl_groups.start(database)
    make_group(groups)
    here, there = multiprocessing.Pipe()

    def write_and_die() -> None:
        own = beryl_groups.start(database)
        own.create("before")
        there.send("opened")
        assert there.poll(PATIENCE)
        there.recv()
        for number in range(50):
            own.add("group", f"{number}")
        there.send("acknowledged")
        os.kill(os.getpid(), signal.SIGKILL)

    with here, there:
        child = Fork(write_and_die)
        assert here.poll(PATIENCE)
        here.recv()
        if parent_goes_on:  # and so has connections again
            assert list(groups) == ["before", "group"]
            groups.create("parent")
        groups.close()
        here.send("closed")
        assert here.poll(PATIENCE)
        here.recv()
        child.wait_killed()
    with beryl_groups.start(database) as restarted:
        assert restarted.topics("group") == {"a", *map(str, range(50))}
        assert restarted.check() == []


def test_a_handle_closed_before_the_fork_leaves_no_mark(database: str) -> None:
    """A child may open a file whose handle its parent had closed, or failed to open."""
    groups = beryl_groups.start(database)
    groups.close()

    def open_it() -> list[str]:
        with beryl_groups.start(database) as own:
            own.create("child")
            return list(own)

    assert Fork(open_it).result() == ["child"]
    assert repr(groups).endswith("closed>")


@pytest.mark.slow
def test_forks_beside_threads_that_write_lose_nothing(database: str) -> None:
    """Forks while other threads write lose nothing of theirs, nor of the children's."""
    stop = threading.Event()
    acknowledged: set[str] = set()

    def write(worker: int) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            groups.add("group", f"{worker}:{number}")
            acknowledged.add(f"{worker}:{number}")

    with beryl_groups.start(database, busy_timeout=PATIENCE) as groups:
        groups.create("group")
        workers = [in_thread(partial(write, worker)) for worker in range(4)]
        for turn in range(30):
            Fork(partial(add_to_group, database, f"child:{turn}")).result()
        stop.set()
        for worker in workers:
            worker.result(PATIENCE)
        assert groups.topics("group") == acknowledged | {f"child:{turn}" for turn in range(30)}
        assert groups.check() == []


def test_forks_beside_threads_that_read_wait_for_none(database: str) -> None:
    """Forks beside threads that read without a pause do not wait until these have finished."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            assert groups.topics("group") >= {"a"}

    with beryl_groups.start(database, busy_timeout=10) as groups:
        make_group(groups)
        readers = [in_thread(read) for _ in range(3)]
        for turn in range(20):
            Fork(partial(add_to_group, database, f"child:{turn}")).result()
        stop.set()
        for reader in readers:
            reader.result(PATIENCE)
        assert groups.topics("group") == {"a", *(f"child:{turn}" for turn in range(20))}
        assert groups.check() == []


def add_to_group(database: str, topic: str) -> None:
    with beryl_groups.start(database, busy_timeout=PATIENCE) as groups:
        groups.add("group", topic)
