"""Ctrl-C in the middle of a watch, at each step that it takes in the thread of its user."""

from __future__ import annotations

import gc
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Change
from tests.contract.interrupter import Interrupter, at_steps
from tests.contract.test_interrupts import in_process
from tests.contract.watching import take
from tests.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups


def iterate(groups: Groups) -> None:
    with groups.watch(known={}) as changes:
        assert next(changes) == Change("created", "group")


def call_back(groups: Groups) -> None:
    groups.watch(lambda change: None).stop()


def interrupt(database: str, use: Callable[[Groups], None]) -> int:
    def attempt(interrupter: Interrupter) -> None:
        with beryl_groups.start(database) as groups:
            interrupter.call(partial(use, groups))
            with groups.watch() as changes:
                groups.add("group", "a")
                assert take(changes) == [Change("added", "group", frozenset({"a"}))]
                groups.remove("group", "a")
        gc.collect()
        wait_until(lambda: threading.active_count() == 1)

    with beryl_groups.start(database) as groups:
        groups.create("group")
    return at_steps(attempt)


@pytest.mark.slow
@pytest.mark.parametrize("use", [iterate, call_back])
def test_a_watch_interrupted_at_any_step_leaves_no_thread(
    database: str, use: Callable[[Groups], None]
) -> None:
    """After it the handle watches and writes as before, and at its end there is no thread."""
    in_process(interrupt, database, use)
