"""Many at once: processes and threads that write the same file, and wait for one another."""

from __future__ import annotations

import math
import random
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Busy
from tests import processes
from tests.processes import PATIENCE, gather, in_thread, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection
    from pathlib import Path

    from beryl_groups import Groups

    Release = Callable[[], None]
    Hold = Callable[[str, Groups], AbstractContextManager[Release]]

NAMES = [f"name:{number}" for number in range(100)]


def create_all(groups: Groups, seed: int) -> list[str]:
    """Create all names in an order of one's own, and return those that nobody else had."""
    won = []
    for name in random.Random(seed).sample(NAMES, len(NAMES)):
        try:
            groups.create(name)
            won.append(name)
        except AlreadyExists:
            continue
    return won


def create_all_in_process(database: str, seed: int) -> list[str]:
    with beryl_groups.start(database, busy_timeout=PATIENCE) as groups:
        return create_all(groups, seed)


def add_all(groups: Groups, worker: int) -> None:
    for number in range(100):
        groups.add("shared", f"{worker}:{number}", f"common:{number}")


def add_all_in_process(database: str, worker: int) -> None:
    with beryl_groups.start(database, busy_timeout=PATIENCE) as groups:
        add_all(groups, worker)


def test_each_name_is_won_by_one_process(database: str) -> None:
    """Of 4 processes that create the same 100 names one wins each, the rest get AlreadyExists."""
    won = gather(create_all_in_process, [(database, seed) for seed in range(4)])
    assert sorted(name for each in won for name in each) == sorted(NAMES)
    with beryl_groups.start(database) as groups:
        assert list(groups) == sorted(NAMES)
        assert groups.check() == []


def test_each_name_is_won_by_one_thread(groups: Groups) -> None:
    """Of 4 threads that create the same 100 names one wins each, the rest get AlreadyExists."""
    won = together(*(partial(create_all, groups, seed) for seed in range(4)))
    assert sorted(name for each in won for name in each) == sorted(NAMES)
    assert list(groups) == sorted(NAMES)


def test_processes_that_add_to_one_group_lose_nothing(groups: Groups, database: str) -> None:
    """What 4 processes add to one group at the same time is all there."""
    groups.create("shared")
    gather(add_all_in_process, [(database, worker) for worker in range(4)])
    assert groups.topics("shared") == expected_topics()
    assert groups.check() == []


def test_threads_that_add_to_one_group_lose_nothing(groups: Groups) -> None:
    """What 4 threads add to one group at the same time is all there."""
    groups.create("shared")
    together(*(partial(add_all, groups, worker) for worker in range(4)))
    assert groups.topics("shared") == expected_topics()


def expected_topics() -> set[str]:
    owners: list[int | str] = [0, 1, 2, 3, "common"]
    return {f"{owner}:{number}" for owner in owners for number in range(100)}


@pytest.mark.slow
def test_threads_that_read_and_write_see_their_own_writes(groups: Groups) -> None:
    """A thread reads what it wrote at its next call, whatever seven others do meanwhile."""

    def live(worker: int) -> None:
        name, new_name, mark = f"{worker}", f"{worker}:new", f"topic:{worker}"
        for turn in range(15):
            groups.create(name)
            groups.add(name, mark, f"{turn}")
            assert groups.topics(name) == {mark, f"{turn}"}
            groups.rename(name, new_name)
            assert name not in groups
            assert groups.groups_of(mark) == [new_name]
            with groups.transaction() as transaction:
                transaction.remove(new_name, mark)
                assert transaction.topics(new_name) == {f"{turn}"}
            assert groups.list_groups(new_name) == [new_name]
            groups.delete(new_name)
            assert groups.groups_of(mark) == []

    together(*(partial(live, worker) for worker in range(8)))
    assert len(groups) == 0
    assert groups.check() == []


@contextmanager
def held_by_a_process(database: str, _groups: Groups) -> Iterator[Release]:
    """Have another process in a write transaction until the release."""
    here, there = processes.context.Pipe()
    process = processes.start(hold, database, there)
    there.close()
    with here:
        assert here.poll(PATIENCE)
        here.recv_bytes()
        yield lambda: here.send_bytes(b"release")
    processes.finish(process)


def hold(database: str, pipe: Connection) -> None:
    with beryl_groups.start(database) as groups, groups.transaction() as transaction:
        transaction.create("committed")
        pipe.send_bytes(b"held")
        pipe.poll(PATIENCE)  # for a release, or for the end of the test


@contextmanager
def held_by_a_handle(database: str, _groups: Groups) -> Iterator[Release]:
    """Have a transaction of another handle open until the release."""
    with beryl_groups.start(database) as other, held_by_a_thread(database, other) as release:
        yield release


@contextmanager
def held_by_a_thread(_database: str, groups: Groups) -> Iterator[Release]:
    """Have a transaction of this handle open in another thread until the release."""
    held, released = threading.Event(), threading.Event()

    def run() -> None:
        with groups.transaction() as transaction:
            transaction.create("committed")
            held.set()
            released.wait(PATIENCE)

    future = in_thread(run)
    assert held.wait(PATIENCE)
    try:
        yield released.set
    finally:
        released.set()
        future.result(PATIENCE)


def in_a_transaction(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.create("new")


WRITES: dict[str, Callable[[Groups], None]] = {
    "create": lambda groups: groups.create("new"),
    "delete": lambda groups: groups.delete("group"),
    "rename": lambda groups: groups.rename("group", "new"),
    "add": lambda groups: groups.add("group", "b"),
    "remove": lambda groups: groups.remove("group", "a"),
    "set_topics": lambda groups: groups.set_topics("group", ["b"]),
    "transaction": in_a_transaction,
}

held_by = pytest.mark.parametrize("held", [held_by_a_process, held_by_a_handle, held_by_a_thread])
every_write = pytest.mark.parametrize("write", list(WRITES.values()), ids=list(WRITES))


def contents(groups: Groups) -> dict[str, frozenset[str]]:
    return {name: groups.topics(name) for name in groups}


@held_by
@pytest.mark.parametrize("busy_timeout", [PATIENCE, math.inf])
def test_a_write_waits_for_another_writer(database: str, held: Hold, busy_timeout: float) -> None:
    """A write does not return while another writer holds the file, and succeeds after it."""
    with beryl_groups.start(database, busy_timeout=busy_timeout) as groups:
        with held(database, groups) as release:
            call = in_thread(lambda: groups.create("new"))
            with pytest.raises(TimeoutError):
                call.result(0.2)
            release()
            call.result(PATIENCE)
        assert "new" in groups


@held_by
@every_write
def test_a_write_that_waited_in_vain_is_busy(
    database: str, held: Hold, write: Callable[[Groups], None]
) -> None:
    """After busy_timeout each writing call raises Busy and leaves nothing; the next one works."""
    with beryl_groups.start(database, busy_timeout=0.05) as groups:
        groups.create("group")
        groups.add("group", "a")
        before = contents(groups)
        with held(database, groups):
            began = time.monotonic()
            with pytest.raises(Busy, match=r" for longer than 0\.05 s"):
                write(groups)
            assert time.monotonic() - began > 0.04
            assert contents(groups) == before
        groups.delete("group")
        groups.create("group")
        write(groups)


@held_by
@every_write
def test_a_write_that_must_not_wait_is_busy_at_once(
    database: str, held: Hold, write: Callable[[Groups], None]
) -> None:
    """With busy_timeout=0 each writing call raises Busy where another writer is at work."""
    with beryl_groups.start(database, busy_timeout=0) as groups:
        groups.create("group")
        with held(database, groups), pytest.raises(Busy, match="for longer than 0 s"):
            write(groups)
        write(groups)


@held_by
def test_nothing_that_reads_waits_for_a_writer(database: str, held: Hold, tmp_path: Path) -> None:
    """Each reading call answers while another writer holds the file, even with busy_timeout=0."""
    with beryl_groups.start(database, busy_timeout=0) as groups:
        groups.create("group")
        groups.add("group", "a")
        delivered: list[str] = []
        with held(database, groups):
            assert groups.topics("group") == {"a"}
            assert groups.list_groups() == list(groups) == groups.groups_of("a") == ["group"]
            assert "group" in groups
            assert len(groups) == 1
            groups.broadcast(
                lambda topic, _event, _payload: delivered.append(topic), "group", "e", 1
            )
            assert groups.check() == []
            groups.backup(tmp_path / "copy.db")
        assert delivered == ["a"]
