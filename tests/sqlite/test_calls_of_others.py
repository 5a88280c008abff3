"""What one thread does, or leaves undone, spoils no call of another."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Busy, Closed, GroupError, Groups, NotFound
from beryl_groups.sqlite.cache import Cache
from tests.processes import PATIENCE, handled, in_thread, wait_until, wait_until_asleep
from tests.sqlite.store import store
from tests.sqlite.test_fork_transaction import transaction_in_another_thread

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Transaction
    from beryl_groups.sqlite import connections


def wait_for_queue(groups: Groups, length: int) -> None:
    wait_until(lambda: len(store(groups)._writer._queue) == length)


def test_a_call_on_a_transaction_that_is_over_leaves_no_answer_stale(
    groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of what the transaction changed is no longer changed when its commit reads it."""
    names = [f"team:{number:03}" for number in range(240)]
    for name in names:
        groups.create(name)
        assert groups.topics(name) == frozenset()
    drop, dropped = Cache._drop, []
    transactions: list[Transaction] = []

    def add_late() -> None:
        with suppress(Closed):
            transactions[0].add(names[0], *(f"room:{number}" for number in range(100)))

    def drop_beside_a_late_call(self: Cache, kind: Any, arguments: Any) -> None:
        drop(self, kind, arguments)
        dropped.append(arguments)
        if len(dropped) == 10:
            in_thread(add_late).result(PATIENCE)

    with groups.transaction() as transaction:
        transactions.append(transaction)
        for name in names:
            transaction.add(name, "room:new")
        monkeypatch.setattr(Cache, "_drop", drop_beside_a_late_call)

    assert len(dropped) > 10
    assert {groups.topics(name) for name in names} == {frozenset({"room:new"})}


def test_a_refusal_tells_nothing_of_the_caller_that_carried_the_call(groups: Groups) -> None:
    """What the other thread was dealing with does not show as the context of the error."""
    groups.create("team")

    def lead() -> None:
        try:
            raise LookupError("a matter of the other thread")
        except LookupError:
            groups.add("team", "room")

    with transaction_in_another_thread(groups) as end:
        leading = in_thread(lead)
        wait_for_queue(groups, 1)
        carried = in_thread(lambda: groups.add("nobody", "room"))
        wait_for_queue(groups, 2)
        end.set()
        with pytest.raises(NotFound) as refused:
            carried.result(PATIENCE)
        leading.result(PATIENCE)
    assert refused.value.__context__ is None


def test_a_call_whose_thread_has_gone_is_led_by_nobody(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a leader fails, it gives back the calls of those alone who still wait for them."""
    before_commit = Cache.before_commit
    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        groups.create("team")
        writer = store(groups)._writer

        def fail_when_the_carried_has_gone(self: Cache, connection: connections.Connection) -> None:
            if not writer._carried:
                return before_commit(self, connection)
            (carried,) = writer._carried
            wait_until_asleep(os.getpid())
            os.kill(os.getpid(), signal.SIGINT)
            wait_until(lambda: carried.left)
            raise RecursionError

        monkeypatch.setattr(Cache, "before_commit", fail_when_the_carried_has_gone)
        with transaction_in_another_thread(groups) as end:
            leading = in_thread(lambda: groups.add("team", "leading"))
            wait_for_queue(groups, 1)

            def let_go() -> None:
                wait_for_queue(groups, 2)
                end.set()

            letting_go = in_thread(let_go)
            with pytest.raises(KeyboardInterrupt):
                groups.add("team", "carried")
            letting_go.result(PATIENCE)
        with suppress(RecursionError):
            leading.result(PATIENCE)
        groups.add("team", "later")
        assert "later" in groups.topics("team")


def test_a_signal_handler_is_refused_a_write_that_would_wait_for_its_own_thread(
    path: Path,
) -> None:
    """The call beneath it waits, and would be handed the lead while it cannot go on."""
    refused: list[GroupError] = []
    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        groups.create("team")

        def write(*_: object) -> None:
            try:
                groups.add("team", "handler")
            except GroupError as error:
                refused.append(error)

        with transaction_in_another_thread(groups) as end, handled(signal.SIGUSR1, write):

            def interrupt() -> None:
                wait_for_queue(groups, 1)
                wait_until_asleep(os.getpid())
                os.kill(os.getpid(), signal.SIGUSR1)
                wait_until(lambda: bool(refused))
                end.set()

            interrupting = in_thread(interrupt)
            groups.add("team", "main")
            interrupting.result(PATIENCE)
        assert groups.topics("team") == {"main"}
    assert "signal handler" in str(refused[0])


def test_a_writer_that_waits_for_a_fork_is_not_told_of_a_transaction(path: Path) -> None:
    """Only where a transaction of the handle holds the file does the sentence say so."""
    with beryl_groups.start(path, busy_timeout=0.05) as groups:
        groups.create("team")
        with store(groups).paused():
            waiting = in_thread(lambda: groups.add("team", "room"))
            with pytest.raises(Busy, match=r"^Another writer"):
                waiting.result(PATIENCE)
        with transaction_in_another_thread(groups), pytest.raises(Busy, match=r"^A transaction"):
            groups.add("team", "room")
