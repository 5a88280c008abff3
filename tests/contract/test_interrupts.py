"""Ctrl-C in the middle of a call, at each step that the call makes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from tests.contract.interrupter import Interrupter, at_steps
from tests.processes import PATIENCE, gather, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups


def in_process(function: Callable[..., int], *arguments: object) -> None:
    """Run a function in the main thread of a process, which has to find many steps."""
    assert gather(function, [arguments]) >= [100]


def whole(groups: Groups) -> bool:
    """Tell whether the topics "a" and "b" are there, of which neither may be alone."""
    topics = groups.topics("group") & {"a", "b"}
    assert len(topics) != 1, "half of a call is there"
    return bool(topics)


def add_two(groups: Groups) -> None:
    groups.add("group", "a", "b")


def add_one_by_one(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.add("group", "a")
        transaction.add("group", "b")


def make_group(database: str, *topics: str) -> None:
    with beryl_groups.start(database) as groups:
        groups.create("group")
        groups.add("group", *topics)


def interrupt_writes(database: str, write: Callable[[Groups], None]) -> int:
    found: set[bool] = set()

    def attempt(interrupter: Interrupter) -> None:
        with beryl_groups.start(database, synchronous="normal") as groups:
            interrupter.call(partial(write, groups))
            if interrupter.interrupted:
                found.add(whole(groups))
            in_thread(partial(add_one_by_one, groups)).result(PATIENCE)
            groups.set_topics("group", [])

    make_group(database)
    steps = at_steps(attempt, apart=3)
    with beryl_groups.start(database) as groups:
        assert groups.check() == []
    assert found == {False, True}, "no interrupt came before the commit, or none after it"
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("write", [add_two, add_one_by_one])
def test_a_write_interrupted_at_any_step_is_whole_or_not_there(
    database: str, write: Callable[[Groups], None]
) -> None:
    """A write or a transaction that Ctrl-C ends is stored whole or not at all; others work."""
    in_process(interrupt_writes, database, write)


def interrupt_reads(database: str) -> int:
    def read(groups: Groups) -> None:
        groups.topics("group")
        groups.broadcast(lambda *_: None, "group", "event", None)

    def attempt(interrupter: Interrupter) -> None:
        with beryl_groups.start(database) as groups:
            interrupter.call(partial(read, groups))
            assert groups.topics("group") == {"kept"}
            groups.add("group", "kept")

    make_group(database, "kept")
    return at_steps(attempt, apart=2)


@pytest.mark.slow
def test_a_read_interrupted_at_any_step_leaves_the_handle_usable(database: str) -> None:
    """After a read or a broadcast that Ctrl-C ends the next calls work."""
    in_process(interrupt_reads, database)
