"""A fork while a transaction is open."""

from __future__ import annotations

import gc
import os
import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Closed, GroupError, StartFailed
from tests.contract.test_fork import CALLS, CALLS_OF_A_HANDLE, make_group, refusals
from tests.processes import PATIENCE, Fork, handled, in_thread, wait_until
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from beryl_groups import Groups

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork"),
    # Python 3.12 and later warn of every fork beside threads, for the sake of locks that they
    # hold. That such a fork does no harm to a handle is what is shown here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def kinds(said: dict[str, object]) -> set[object]:
    return {each[0] if isinstance(each, tuple) else each for each in said.values()}


def start_is_refused(path: Path) -> str:
    with pytest.raises(StartFailed) as refusal:
        beryl_groups.start(path)
    return str(refusal.value)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another database file."""
    return tmp_path / "other.db"


def test_a_child_of_an_open_transaction_is_refused_its_file(
    groups: Groups, path: Path, other: Path
) -> None:
    """A child forked inside a transaction cannot open the file, by no name, but can another."""
    make_group(groups)
    link = path.with_name("another name.db")
    link.symlink_to(path)

    def try_to_open() -> list[str]:
        with beryl_groups.start(other) as own:
            own.create("child")
        return [start_is_refused(each) for each in (path, link)]

    with groups.transaction() as transaction:
        transaction.add("group", "before")
        sentences = Fork(try_to_open).result()
        transaction.add("group", "after")
    assert all("forked while its parent had a transaction open" in each for each in sentences)
    assert groups.topics("group") == {"a", "before", "after"}
    assert groups.check() == []


def test_a_child_of_an_open_transaction_is_refused_the_handle(groups: Groups) -> None:
    """Every method of the handle and of the transaction itself raises Closed in such a child."""
    make_group(groups)
    with groups.transaction() as transaction:
        transaction.add("group", "before")
        of_handle = Fork(lambda: refusals(groups, CALLS_OF_A_HANDLE)).result()
        of_transaction = Fork(lambda: refusals(transaction, CALLS)).result()
        transaction.add("group", "after")
    assert kinds(of_handle) == {"Closed"}
    assert kinds(of_transaction) == {"Closed"}
    assert groups.topics("group") == {"a", "before", "after"}
    assert groups.check() == []


class LeavingError(Exception):
    """Leaves a block."""


@pytest.mark.parametrize("raises", [False, True])
def test_a_child_that_leaves_the_block_ends_nothing(
    groups: Groups, path: Path, raises: bool
) -> None:
    """The child's end of the block raises, and neither commits the transaction nor undoes it."""
    make_group(groups)
    reader, writer = os.pipe()
    pid = -1
    outcome: type[BaseException] | None = None
    try:
        with groups.transaction() as transaction:
            # More than SQLite keeps to itself before a commit.
            transaction.add("group", "before", *(f"{n}:{'x' * 900}" for n in range(4000)))
            pid = os.fork()
            if pid == 0 and raises:
                raise LeavingError
            if pid != 0:
                os.close(writer)
                assert os.read(reader, 1) == b"."  # the child has left its block
                with beryl_groups.start(path) as beside:
                    seen_beside = len(beside.topics("group"))
                transaction.add("group", "after")
    except (LeavingError, GroupError) as error:
        outcome = type(error)
    finally:
        if pid == 0:
            os.write(writer, b".")
            os._exit(0 if outcome is (LeavingError if raises else Closed) else 1)
    os.close(reader)
    assert os.waitpid(pid, 0)[1] == 0
    assert outcome is None
    assert seen_beside == 1
    assert len(groups.topics("group")) == 4003
    assert groups.check() == []


def test_a_child_that_drops_what_it_inherited_loses_nothing(groups: Groups, path: Path) -> None:
    """A connection that a child was left with is never closed there, not even as garbage."""
    make_group(groups)
    inherited = [groups.transaction()]
    inherited[0].__enter__().add("group", "before")
    reader, writer = os.pipe()

    def drop() -> None:
        os.close(writer)
        assert os.read(reader, 1) == b"."
        inherited.clear()
        gc.collect()

    child = Fork(drop)
    os.close(reader)
    inherited.pop().__exit__(None, None, None)
    groups.close()
    for turn in range(2):  # the last of which is closed when the child drops what is outdated
        with beryl_groups.start(path) as later:
            later.add("group", f"{turn}", *(f"{turn}:{number}" for number in range(1000)))
    os.write(writer, b".")
    os.close(writer)
    child.result()
    with beryl_groups.start(path) as later:
        assert later.topics("group") >= {"a", "before", "0", "1"}
        assert len(later.topics("group")) == 2004
        assert later.check() == []


def test_a_child_that_drops_an_open_transaction_undoes_nothing(groups: Groups) -> None:
    """Nor does it take from its parent what the transaction has written to the file so far."""
    make_group(groups)
    inherited: list[Any] = [groups.transaction()]
    inherited.append(inherited[0].__enter__())
    inherited[1].add("group", *(f"{number}:{'x' * 900}" for number in range(4000)))

    def drop() -> None:
        inherited.clear()
        gc.collect()

    Fork(drop).result()
    inherited[1].add("group", "after")
    inherited[0].__exit__(None, None, None)
    assert len(groups.topics("group")) == 4002
    assert groups.check() == []


@contextmanager
def transaction_in_another_thread(groups: Groups) -> Iterator[threading.Event]:
    """Give what ends the transaction, which may be set inside of the block."""
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with groups.transaction() as transaction:
            transaction.create("before")
            held.set()
            assert released.wait(PATIENCE)
            transaction.create("after")

    future = in_thread(hold)
    assert held.wait(PATIENCE)
    try:
        yield released
    finally:
        released.set()
        future.result(PATIENCE)


def test_a_fork_does_not_wait_for_ever_for_another_threads_transaction(path: Path) -> None:
    """After busy_timeout a fork goes on, and the child is refused both the handle and the file."""
    with beryl_groups.start(path, busy_timeout=0.1) as groups:
        make_group(groups)
        with transaction_in_another_thread(groups):
            said, sentence = Fork(
                lambda: (refusals(groups, CALLS_OF_A_HANDLE), start_is_refused(path))
            ).result()
        assert kinds(said) == {"Closed"}
        assert "transaction" in sentence
        assert groups.list_groups() == ["after", "before", "group"]
        assert groups.check() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_fork_interrupted_as_it_waits_harms_nothing(path: Path) -> None:
    """Ctrl-C while a fork waits, which Python reports and goes on, leaves the file refused."""
    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        make_group(groups)
        forking, interrupted = threading.get_ident(), threading.Event()

        def be_interrupted(*_: object) -> None:
            if not interrupted.is_set():
                interrupted.set()
                raise KeyboardInterrupt

        def interrupt() -> bool:
            # Again and again: one that comes in the instant before the wait is heard after it.
            signal.pthread_kill(forking, signal.SIGINT)
            return interrupted.is_set()

        def interrupt_the_wait() -> None:
            wait_until(lambda: len(store(groups)._writer._queue) == 1)
            wait_until(interrupt)

        with handled(signal.SIGINT, be_interrupted), transaction_in_another_thread(groups):
            interrupting = in_thread(interrupt_the_wait)
            child = Fork(partial(start_is_refused, path))
            interrupting.result(PATIENCE)
            assert "transaction" in child.result()
        assert groups.list_groups() == ["after", "before", "group"]
        assert groups.check() == []


def test_a_fork_that_must_not_wait_harms_nothing(path: Path) -> None:
    """So it does at once with busy_timeout=0."""
    with beryl_groups.start(path, busy_timeout=0) as groups:
        make_group(groups)
        with transaction_in_another_thread(groups):
            assert "transaction" in Fork(partial(start_is_refused, path)).result()
        assert groups.list_groups() == ["after", "before", "group"]
        assert groups.check() == []


def test_a_child_of_a_child_is_refused_as_well(groups: Groups, path: Path) -> None:
    """What a child is refused, the children that it forks are refused too."""
    make_group(groups)
    with groups.transaction():
        inherited = Fork(lambda: Fork(partial(start_is_refused, path)).result()).result()
    assert "transaction" in inherited

    def fork_again() -> set[object]:
        return kinds(Fork(lambda: refusals(groups, CALLS_OF_A_HANDLE)).result())

    assert Fork(fork_again).result() == {"Closed"}
