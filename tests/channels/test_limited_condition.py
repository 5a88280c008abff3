"""The one time limit of all waits for a broker."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from beryl_groups.channels.time_limit import LimitedCondition
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    import pytest


def test_time_that_was_waited_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """All waits together have the limit, and what is there already needs none."""
    condition = LimitedCondition(0.1)
    with condition:
        assert not condition.wait_within_limit(lambda: False)
        waits: list[float] = []
        monkeypatch.setattr(condition, "wait", waits.append)
        assert not condition.wait_within_limit(lambda: False)
        assert condition.wait_within_limit(lambda: True)
    assert all(seconds <= 0 for seconds in waits)


def test_what_waits_goes_on_when_the_time_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is renewed counts for those who wait already."""
    condition = LimitedCondition(PATIENCE)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        condition._left -= PATIENCE / 2  # as if so long had passed
        waits.append(seconds)
        condition.renew_limit()

    monkeypatch.setattr(condition, "wait", wait)
    with condition:
        assert condition.wait_within_limit(lambda: len(waits) == 5)
    assert min(waits) > PATIENCE / 2


def test_threads_that_wait_at_once_spend_the_time_once() -> None:
    """What several wait for at the same time takes no more of it than for one."""
    condition = LimitedCondition(PATIENCE)
    ready: list[int] = []

    def wait(number: int) -> bool:
        with condition:
            ready.append(number)
            return condition.wait_within_limit(lambda: not ready)

    waiting = [in_thread(partial(wait, number)) for number in range(8)]
    while True:
        with condition:
            if len(ready) == len(waiting):
                left = condition._left
                ready.clear()
                condition.notify_all()
                break
    assert all(thread.result(PATIENCE) for thread in waiting)
    with condition:
        assert left == PATIENCE
        assert left - (time.monotonic() - condition._since) <= condition._left < left
