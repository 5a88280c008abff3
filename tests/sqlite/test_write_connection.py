"""What becomes of the connection that a handle writes through, where storage fails under it."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import sqlite
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.locating import locate
from beryl_groups.sqlite.store import Store
from tests.contract.interrupter import Interrupter, at_steps
from tests.processes import PATIENCE, gather, in_thread
from tests.sqlite.store import store

if TYPE_CHECKING:
    from pathlib import Path


def interrupt_a_change_of_connections(path: Path) -> int:
    """Interrupt what follows on storage that failed: the write connection gives way to another."""
    failure = sqlite.driver.OperationalError("disk I/O error")
    with beryl_groups.start(path, synchronous="normal") as groups:
        held = store(groups)._writer._connection
        groups.create("group")

        def attempt(interrupter: Interrupter) -> None:
            failed = held.current
            assert failed is not None
            interrupter.call(partial(held.roll_back, failure))
            if held.current is not failed:
                with pytest.raises(sqlite.driver.ProgrammingError, match="closed"):
                    failed.execute("SELECT 1")
            groups.add("group", "a")

        return at_steps(attempt)


@pytest.mark.slow
def test_a_connection_that_failed_is_closed_or_kept_wherever_ctrl_c_comes(path: Path) -> None:
    """An interrupt while it gives way to another does not leave it to the garbage collector."""
    assert gather(interrupt_a_change_of_connections, [(path,)]) >= [100]


def test_a_connection_that_is_closed_is_asked_for_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C that comes as soon as it is closed leaves the handle usable, with another one."""
    close_connection = Store.close_connection

    def interrupted(self: Store, connection: connections.Connection) -> None:
        close_connection(self, connection)
        raise KeyboardInterrupt

    with beryl_groups.start(path) as groups:
        groups.create("group")
        with monkeypatch.context() as patched:
            patched.setattr(Store, "close_connection", interrupted)
            with pytest.raises(KeyboardInterrupt), store(groups)._writer.paused():
                pytest.fail("it was not interrupted")
        groups.add("group", "a")
        assert groups.topics("group") == {"a"}


def test_a_commit_that_failed_is_taken_back_when_others_have_written(path: Path) -> None:
    """What overwrites it waits for another writer, for as long as a call would."""
    beryl_groups.start(path).close()
    location, begins = locate(path), threading.Event()
    with (
        closing(connections.open_connection(location, 0, "full")) as connection,
        closing(connections.open_connection(location, 0, "full")) as other,
    ):
        connection.set_trace_callback(lambda _: begins.set())
        other.execute("BEGIN IMMEDIATE")
        taken_back = in_thread(partial(connections.take_back_commit, connection, PATIENCE))
        assert begins.wait(PATIENCE)
        with pytest.raises(TimeoutError):
            taken_back.result(0.1)  # it would be there at once
        other.execute("ROLLBACK")
        before = other.execute("PRAGMA data_version").fetchone()
        taken_back.result(PATIENCE)
        assert other.execute("PRAGMA data_version").fetchone() != before, "nothing was written"
