"""Transactions: all or nothing, seen from inside at once and from outside at the end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Closed, GroupError, Groups, NotFound
from tests import processes
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(params=["file", "memory"])
def groups(request: pytest.FixtureRequest, database: str) -> Iterator[Groups]:
    """A handle on a file, and on ":memory:", which has to behave alike."""
    database = database if request.param == "file" else ":memory:"
    with beryl_groups.start(database, busy_timeout=PATIENCE) as handle:
        handle.create("team")
        handle.add("team", "a", "b")
        yield handle


def test_all_that_a_transaction_wrote_lands_together(groups: Groups) -> None:
    """Each writing method takes part, and the result is theirs in order."""
    with groups.transaction() as transaction:
        transaction.create("new")
        transaction.add("new", "x", "y", "z")
        transaction.remove("new", "y")
        transaction.rename("team", "crew")
        transaction.set_topics("crew", ["c"])
        transaction.create("gone")
        transaction.delete("gone")
    assert list(groups) == ["crew", "new"]
    assert groups.topics("new") == {"x", "z"}
    assert groups.topics("crew") == {"c"}


def test_a_transaction_that_raises_leaves_nothing(groups: Groups) -> None:
    """Whatever it did before, and whatever it raised."""
    for kind in (ValueError, KeyboardInterrupt, SystemExit, NotFound):
        with pytest.raises(kind), groups.transaction() as transaction:  # noqa: PT012
            transaction.create("new")
            transaction.add("team", "c")
            transaction.rename("team", "crew")
            transaction.delete("crew")
            raise kind("on purpose")
        assert list(groups) == ["team"]
        assert groups.topics("team") == {"a", "b"}


def test_reads_inside_see_the_writes_so_far(groups: Groups) -> None:
    """Every reading method of the transaction answers from its own state."""
    with groups.transaction() as transaction:
        transaction.create("new")
        transaction.add("new", "a", "z")
        assert transaction.topics("new") == {"a", "z"}
        assert transaction.list_groups() == ["new", "team"]
        assert transaction.list_groups("n") == ["new"]
        assert transaction.groups_of("a") == ["new", "team"]
        assert "new" in transaction
        assert len(transaction) == 2
        assert list(transaction) == ["new", "team"]
        transaction.delete("team")
        assert "team" not in transaction
        with pytest.raises(NotFound):
            transaction.topics("team")


def test_reads_outside_do_not_see_an_open_transaction(groups: Groups) -> None:
    """The handle, in this thread and in others, answers as of before until the block ends."""

    def look() -> tuple[list[str], frozenset[str], int]:
        return list(groups), groups.topics("team"), len(groups)

    before = look()
    with ThreadPoolExecutor(2) as threads:
        with groups.transaction() as transaction:
            transaction.create("new")
            transaction.add("team", "c")
            assert look() == before
            assert threads.submit(look).result(timeout=PATIENCE) == before
        after = (["new", "team"], frozenset({"a", "b", "c"}), 2)
        assert look() == after
        assert threads.submit(look).result(timeout=PATIENCE) == after


def look_from_another_process(database: str, expected: list[str]) -> None:
    with beryl_groups.start(database) as groups:
        assert list(groups) == expected


def test_other_processes_do_not_see_an_open_transaction(database: str) -> None:
    """Another process that opens the file meanwhile reads what was there before."""
    with beryl_groups.start(database) as groups:
        with groups.transaction() as transaction:
            transaction.create("new")
            processes.finish(processes.start(look_from_another_process, database, []))
        processes.finish(processes.start(look_from_another_process, database, ["new"]))


WRITES: list[Callable[[Groups], object]] = [
    lambda groups: groups.create("x"),
    lambda groups: groups.delete("team"),
    lambda groups: groups.rename("team", "x"),
    lambda groups: groups.add("team", "c"),
    lambda groups: groups.remove("team", "a"),
    lambda groups: groups.set_topics("team", []),
    lambda groups: groups.transaction().__enter__(),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_beside_the_own_transaction_is_refused_at_once(
    groups: Groups, write: Callable[[Groups], object]
) -> None:
    """It would wait for itself; the transaction goes on as if nothing had been asked."""
    with groups.transaction() as transaction:
        transaction.add("team", "mine")
        with pytest.raises(GroupError, match="has a transaction open"):
            write(groups)
    assert groups.topics("team") == {"a", "b", "mine"}
    write(groups)


def test_writes_of_other_threads_wait_for_the_end(groups: Groups) -> None:
    """They are neither refused nor mixed in."""
    started = threading.Event()

    def add() -> None:
        started.set()
        groups.add("team", "from another thread")

    with ThreadPoolExecutor(1) as threads:
        with groups.transaction() as transaction:
            waiting = threads.submit(add)
            assert started.wait(PATIENCE)
            transaction.add("team", "c")
            assert not waiting.done()
        waiting.result(timeout=PATIENCE)
    assert groups.topics("team") == {"a", "b", "c", "from another thread"}


def test_a_refused_call_spoils_nothing(groups: Groups) -> None:
    """`AlreadyExists` and its like may be caught inside, and the rest lands."""
    with groups.transaction() as transaction:
        transaction.create("new")
        with pytest.raises(AlreadyExists):
            transaction.create("new")
        with pytest.raises(NotFound):
            transaction.add("nobody", "a")
        with pytest.raises(TypeError):
            transaction.add("new", "good", 5)  # type: ignore[arg-type]
        transaction.add("new", "a")
    assert groups.topics("new") == {"a"}


def test_a_transaction_is_closed_after_its_block(groups: Groups) -> None:
    """Its object is refused then, however the block ended."""
    with groups.transaction() as ended:
        pass
    with pytest.raises(Closed, match="is over"):
        ended.create("late")
    with pytest.raises(ValueError, match="on purpose"), groups.transaction() as raised:
        raise ValueError("on purpose")
    with pytest.raises(Closed, match="is over"):
        raised.topics("team")
    with pytest.raises(Closed, match="is over"):
        ended.broadcast(print, "team", "e", None)
    assert "late" not in groups


def test_an_error_of_the_users_own_passes_through_as_it_is(groups: Groups) -> None:
    """What the block raises reaches the caller untouched, an error of ``sqlite3`` too."""
    import sqlite3  # noqa: TID251 - no database is opened with it

    error = sqlite3.OperationalError("from a database of the application's own")
    with pytest.raises(sqlite3.OperationalError) as raised, groups.transaction():
        raise error
    assert raised.value is error


def test_many_threads_in_turn_each_have_their_transaction(groups: Groups) -> None:
    """Transactions of threads follow one another; a sum that each reads and writes is exact."""

    def increase() -> None:
        for _ in range(10):
            with groups.transaction() as transaction:
                (number,) = transaction.topics("counter")
                transaction.set_topics("counter", [str(int(number) + 1)])

    groups.create("counter")
    groups.add("counter", "0")
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(increase) for _ in range(8)]:
            done.result(timeout=PATIENCE)
    assert groups.topics("counter") == {"80"}
