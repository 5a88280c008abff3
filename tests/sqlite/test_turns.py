"""Waiting for the writers of other processes."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups.sqlite import driver
from beryl_groups.sqlite.turns import FileTurns
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


def keeps_off_after_a_turn(turns: FileTurns, connection: driver.Connection) -> bool:
    turns.begin(connection, time.monotonic() + PATIENCE)
    time.sleep(0.004)  # longer than a turn, and no long transaction
    connection.execute("ROLLBACK")
    turns.end()
    return turns._free_until > 0


def test_who_has_met_others_keeps_off_the_file_after_a_turn(path: Path) -> None:
    """Nobody writes without a pause beside others who wait, or pauses long after they are gone."""
    beryl_groups.start(path).close()
    turns = FileTurns()
    with (
        closing(driver.connect(path, isolation_level=None, timeout=0)) as connection,
        closing(driver.connect(path, isolation_level=None, check_same_thread=False)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")

        def make_way() -> None:
            wait_until(lambda: turns._met_others > 0)
            other.execute("ROLLBACK")

        making_way = in_thread(make_way)
        assert keeps_off_after_a_turn(turns, connection)
        making_way.result(PATIENCE)
        assert not all(keeps_off_after_a_turn(turns, connection) for _ in range(50))
