"""Waiting for the writers of other processes."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from tests.processes import PATIENCE, gather, in_thread, wait_until
from tests.sqlite.opening import another_process
from tests.sqlite.store import store

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups

HOLD = ("BEGIN IMMEDIATE", "INSERT INTO groups (name) VALUES ('never committed')")


def transact(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.create("too late")


def interrupt_a_wait(path: Path) -> None:
    """Wait for another process in the main thread of this one, and have Ctrl-C come meanwhile."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with beryl_groups.start(path, busy_timeout=10 * PATIENCE) as groups:
        for call in (partial(groups.create, "too late"), partial(transact, groups)):

            def interrupt() -> None:
                wait_until(lambda: store(groups)._writer._leader is not None)
                os.kill(os.getpid(), signal.SIGINT)

            interrupting = in_thread(interrupt)
            with pytest.raises(KeyboardInterrupt):
                call()
            interrupting.result(PATIENCE)
            assert list(groups) == []


def test_a_wait_for_another_process_ends_with_ctrl_c(path: Path) -> None:
    """A write or a transaction that waits for the file is ended while the other still holds it."""
    beryl_groups.start(path).close()
    with another_process(path, *HOLD):
        gather(interrupt_a_wait, [(path,)])
    with beryl_groups.start(path) as groups:
        groups.create("in time")
        assert list(groups) == ["in time"]
