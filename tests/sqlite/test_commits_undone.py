"""What was not committed is acknowledged to nobody, wherever Ctrl-C comes in between."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups import sqlite
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.cache import Cache
from beryl_groups.sqlite.write_connection import WriteConnection
from tests.processes import PATIENCE, in_thread, wait_until
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from beryl_groups import Groups


class FailingConnection:
    """A connection on which one COMMIT fails as SQLite has it fail where a sync does."""

    def __init__(self, connection: connections.Connection) -> None:
        self._connection = connection
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: Any) -> Any:
        if sql == "COMMIT" and not self._failed:
            self._failed = True
            self._connection.execute("ROLLBACK")
            raise sqlite.driver.OperationalError("disk I/O error")
        return self._connection.execute(sql, *parameters)


@pytest.fixture
def carried(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Future[None]]:
    """Have the first call of this thread carry one of another, and return a way to that."""
    groups.create("group")
    sound = WriteConnection.begin
    futures: list[Future[None]] = []
    leader = threading.get_ident()

    def begin(self: WriteConnection, deadline: float) -> connections.Connection:
        connection = sound(self, deadline)
        if threading.get_ident() == leader and not futures:
            futures.append(in_thread(lambda: groups.add("group", "carried")))
            wait_until(lambda: len(store(groups)._writer._queue) == 1)
        return connection

    monkeypatch.setattr(WriteConnection, "begin", begin)
    return lambda: futures[0]


def test_an_interrupt_after_a_commit_that_failed(
    groups: Groups, carried: Callable[[], Future[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that was carried in vain waits again, and is there when it returns."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(connections, "take_back_commit", interrupt)
    held = store(groups)._writer._connection
    failing: Any = FailingConnection(held.current)  # type: ignore[arg-type]
    store(groups)._connections.add(failing)
    held.current = failing

    with pytest.raises(KeyboardInterrupt):
        groups.add("group", "leading")

    carried().result(PATIENCE)
    assert groups.topics("group") == {"carried"}


def test_an_interrupt_before_the_commit_and_another_after_what_that_undid(
    groups: Groups, carried: Callable[[], Future[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them do not make a commit of what the first kept from being one."""
    before_commit, roll_back = Cache.before_commit, WriteConnection.roll_back
    interrupts = [1, 2]

    def interrupted_before(self: Cache, writer: connections.Connection) -> None:
        if interrupts == [1, 2]:
            interrupts.pop()
            raise KeyboardInterrupt
        before_commit(self, writer)

    def interrupted_after(self: WriteConnection, error: Exception | None = None) -> None:
        roll_back(self, error)
        if interrupts == [1]:
            interrupts.pop()
            raise KeyboardInterrupt

    monkeypatch.setattr(Cache, "before_commit", interrupted_before)
    monkeypatch.setattr(WriteConnection, "roll_back", interrupted_after)

    with pytest.raises(KeyboardInterrupt):
        groups.add("group", "leading")

    assert not interrupts
    carried().result(PATIENCE)
    assert groups.topics("group") == {"carried"}
