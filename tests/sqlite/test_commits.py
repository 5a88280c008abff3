"""Threads that wait to write share a commit, and nothing else: no error and no interruption."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Busy, NotFound, StorageFailed
from tests.processes import PATIENCE, in_thread, shell, together, wait_until
from tests.sqlite.store import store
from tests.sqlite.wal import commits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from beryl_groups import Groups


@pytest.fixture
def groups(path: Path) -> Iterator[Groups]:
    """A handle whose calls wait for as long as a test may take."""
    with beryl_groups.start(path, busy_timeout=PATIENCE) as handle:
        yield handle


def call_together(groups: Groups, *calls: Callable[[], object]) -> list[Future[object]]:
    """Have each call wait in a thread of its own while a transaction is open, in this order."""
    waiting = []
    with groups.transaction():
        for number, call in enumerate(calls, 1):
            waiting.append(in_thread(call))
            wait_until(partial(is_queued, groups, number))
    return waiting


def is_queued(groups: Groups, number: int) -> bool:
    return len(store(groups)._writer._queue) == number


def outcomes(waiting: Sequence[Future[Any]]) -> list[type[BaseException] | None]:
    errors = [each.exception(PATIENCE) for each in waiting]
    return [None if error is None else type(error) for error in errors]


def test_calls_that_wait_share_one_commit(groups: Groups, path: Path) -> None:
    """16 threads that have waited for a writer are all done with one commit."""
    groups.create("group")
    before = commits(path)
    calls = [partial(groups.add, "group", f"{number}") for number in range(16)]
    waiting = call_together(groups, *calls)
    assert outcomes(waiting) == [None] * 16
    assert groups.topics("group") == {f"{number}" for number in range(16)}
    assert commits(path) == before + 1


def test_calls_that_do_not_wait_have_a_commit_each(groups: Groups, path: Path) -> None:
    """A call has its commit before it returns: 16 calls of one thread are 16 commits."""
    before = commits(path)
    for number in range(16):
        groups.create(f"{number}")
    assert commits(path) == before + 16


def test_a_transaction_shares_its_commit_with_nobody(groups: Groups, path: Path) -> None:
    """What waits before a transaction and what waits behind it are in commits of their own."""
    before = commits(path)

    def transact() -> None:
        with groups.transaction() as transaction:
            assert transaction.list_groups() == ["1", "2"]
            transaction.create("3")

    one, two, four, five = (partial(groups.create, f"{number}") for number in (1, 2, 4, 5))
    waiting = call_together(groups, one, two, transact, four, five)
    assert outcomes(waiting) == [None] * 5
    assert groups.list_groups() == list("12345")
    assert commits(path) == before + 3


def test_each_call_of_a_commit_has_its_own_error(groups: Groups, path: Path) -> None:
    """Of calls that share a commit, each succeeds or is refused as if it had been alone."""
    groups.create("group")
    before = commits(path)
    waiting = call_together(
        groups,
        *[partial(groups.create, "won once")] * 8,
        partial(groups.add, "missing", "a"),
        partial(groups.add, "group", "a"),
        partial(groups.rename, "group", "won once"),
        partial(groups.delete, "missing"),
        partial(groups.remove, "group", "a"),
    )
    refused = [AlreadyExists] * 7
    assert outcomes(waiting) == [
        *[None, *refused],
        *[NotFound, None, AlreadyExists, NotFound, None],
    ]
    assert {str(waiting[8].exception()), str(waiting[11].exception())} == {
        "There is no group 'missing'."
    }
    assert groups.list_groups() == ["group", "won once"]
    assert groups.topics("group") == frozenset()
    assert commits(path) == before + 1


def test_a_call_sees_what_its_commit_brought_before_it(groups: Groups) -> None:
    """Calls that share a commit take effect one after the other, in the order of their coming."""
    waiting = call_together(
        groups,
        partial(groups.create, "a"),
        partial(groups.rename, "a", "b"),
        partial(groups.create, "a"),
        partial(groups.set_topics, "b", ["1", "2"]),
        partial(groups.remove, "b", "1"),
    )
    assert outcomes(waiting) == [None] * 5
    assert groups.topics("a") == frozenset()
    assert groups.topics("b") == {"2"}


@pytest.mark.usefixtures("triggers_run")
@pytest.mark.parametrize("action", ["ABORT", "FAIL", "ROLLBACK"])
def test_a_call_that_storage_refuses_fails_alone(groups: Groups, path: Path, action: str) -> None:
    """Where storage fails one of the calls that wait, it leaves nothing, and the rest succeed."""
    groups.create("group")
    shell(
        path,
        "CREATE TRIGGER no_poison BEFORE INSERT ON group_topics WHEN new.topic = 'poison' "
        f"BEGIN SELECT RAISE({action}, 'poison'); END",
    )
    waiting = call_together(
        groups,
        partial(groups.add, "group", "a"),
        partial(groups.add, "group", "b", "poison", "c"),
        partial(groups.create, "group"),
        partial(groups.add, "group", "d"),
        partial(groups.add, "group", "poison"),
    )
    assert outcomes(waiting) == [None, StorageFailed, AlreadyExists, None, StorageFailed]
    assert "poison" in str(waiting[1].exception())
    assert groups.topics("group") == {"a", "d"}
    groups.add("group", "afterwards")
    assert groups.check() == []


@pytest.mark.usefixtures("triggers_run")
def test_the_first_of_those_that_wait_may_be_the_one_that_fails(groups: Groups, path: Path) -> None:
    """So it is where the failing call is the one that carries the others out."""
    shell(
        path,
        "CREATE TRIGGER no_poison BEFORE INSERT ON groups WHEN new.name = 'poison' "
        "BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    names = ("poison", "a", "b")
    waiting = call_together(groups, *(partial(groups.create, name) for name in names))
    assert outcomes(waiting) == [StorageFailed, None, None]
    assert groups.list_groups() == ["a", "b"]


@contextmanager
def broken_commits(path: Path, groups: Groups) -> Iterator[None]:
    """Have each commit fail that holds a group of the name poison, and work again in the end."""
    shell(
        path,
        "CREATE TABLE later (id INTEGER REFERENCES groups DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TRIGGER spoil AFTER INSERT ON groups WHEN new.name = 'poison' "
        "BEGIN INSERT INTO later VALUES (-1); END",
    )
    yield
    shell(path, "DROP TRIGGER spoil; DROP TABLE later")
    groups.create("afterwards")


@pytest.mark.usefixtures("triggers_run")
def test_a_commit_that_fails_leaves_nothing_of_any_call(groups: Groups, path: Path) -> None:
    """Where the commit itself fails, each call that was in it raises, and none is stored."""
    with broken_commits(path, groups):
        names = ("a", "poison", "b", "a")
        waiting = call_together(groups, *(partial(groups.create, name) for name in names))
        assert outcomes(waiting) == [StorageFailed] * 4
        assert groups.list_groups() == []
    assert groups.list_groups() == ["afterwards"]


@pytest.mark.usefixtures("triggers_run")
def test_a_transaction_whose_commit_fails_leaves_nothing(groups: Groups, path: Path) -> None:
    """Where the commit of a transaction fails, the end of its block raises, and others go on."""
    waiting = []

    def spoil() -> None:
        with groups.transaction() as transaction:
            transaction.create("a")
            waiting.append(in_thread(partial(groups.create, "b")))
            wait_until(partial(is_queued, groups, 1))
            transaction.create("poison")

    with broken_commits(path, groups):
        with pytest.raises(StorageFailed):
            spoil()
        assert outcomes(waiting) == [None]
        assert groups.list_groups() == ["b"]


class GivingUpError(Exception):
    """Leaves a block."""


@pytest.mark.parametrize("gives_up", [False, True])
def test_calls_that_waited_too_long_leave_nothing(path: Path, gives_up: bool) -> None:
    """Calls that a transaction keeps waiting are Busy after busy_timeout, and change nothing."""
    with beryl_groups.start(path, busy_timeout=0.2) as groups:

        def transact() -> None:
            with groups.transaction() as beside:
                beside.add("group", "beside")

        groups.create("group")
        calls = [partial(groups.add, "group", f"{number}") for number in range(4)]
        calls += [partial(transact), partial(transact), partial(groups.delete, "group")]
        with suppress(GivingUpError), groups.transaction() as transaction:
            transaction.create("inside")
            waiting = [in_thread(call) for call in calls]
            assert outcomes(waiting) == [Busy] * len(calls)
            transaction.add("inside", "a")
            if gives_up:
                raise GivingUpError
        assert groups.list_groups() == (["group"] if gives_up else ["group", "inside"])
        assert groups.topics("group") == frozenset()
        for call in calls:
            call()


def test_many_threads_get_their_turns(groups: Groups) -> None:
    """Of 16 threads that write without a pause none waits for ever, and nothing is lost."""

    def write(worker: int) -> None:
        for turn in range(20):
            groups.create(f"{worker}:{turn}")
            with groups.transaction() as transaction:
                transaction.add(f"{worker}:{turn}", "a")

    together(*(partial(write, worker) for worker in range(16)))
    names = [f"{worker}:{turn}" for worker in range(16) for turn in range(20)]
    assert groups.list_groups() == groups.groups_of("a") == sorted(names)
    assert groups.check() == []
