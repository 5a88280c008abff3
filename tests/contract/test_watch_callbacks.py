"""Callbacks of watches: slow ones, failing ones, and such that use the handle."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.contract.watching import Follower
from tests.processes import PATIENCE, wait_until

if TYPE_CHECKING:
    from beryl_groups import Change, Groups


def test_a_callback_is_told_in_a_thread_of_the_watch(groups: Groups) -> None:
    """The thread that writes does not wait for whoever is told."""
    threads: list[threading.Thread] = []
    follower = Follower()

    def on_change(change: Change) -> None:
        threads.append(threading.current_thread())
        follower(change)

    with groups.watch(on_change):
        groups.add("team", "a", create=True)
        follower.wait_for({"team": {"a"}})

    assert threading.current_thread() not in threads


def test_what_waits_for_a_slow_callback_is_merged(groups: Groups) -> None:
    """A callback that was late is told the difference, and not each step that led to it."""
    follower = Follower()
    late, gate = threading.Event(), threading.Event()

    def on_change(change: Change) -> None:
        late.set()
        assert gate.wait(PATIENCE)
        follower(change)

    quick = Follower()
    with groups.watch(on_change), groups.watch(quick):
        groups.create("first")
        assert late.wait(PATIENCE)
        model: dict[str, set[str]] = {"first": set()}
        for number in range(20):  # nobody else is kept waiting
            groups.add("second", str(number), create=True)
            model["second"] = {*model.get("second", ()), str(number)}
            quick.wait_for(model)
        gate.set()
        follower.wait_for(model)
    assert len(follower.told) == 2


def test_a_callback_that_raises_is_logged_and_told_on(
    groups: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """What a callback raises is logged with its traceback, and the watch goes on."""
    follower = Follower()

    def on_change(change: Change) -> None:
        follower(change)
        raise ZeroDivisionError(change.group)

    with caplog.at_level(logging.ERROR, "beryl_groups"), groups.watch(on_change):
        groups.create("first")
        follower.wait_for_change("created", "first")
        groups.create("second")
        follower.wait_for_change("created", "second")

    assert "The callback of a watch failed at a change of the group 'first'." in caplog.messages
    assert "The callback of a watch failed at a change of the group 'second'." in caplog.messages
    assert "ZeroDivisionError" in caplog.text


def test_a_callback_that_exits_ends_its_watch_with_a_word(
    groups: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """At ``sys.exit`` a thread ends without one, and nobody would know why nothing is told."""
    with groups.watch(lambda change: sys.exit(3)) as watch:
        groups.create("team")
        wait_until(lambda: "ended" in repr(watch))
    assert "A watch has ended: 3." in caplog.text


def test_a_callback_may_write_and_there_is_no_storm(groups: Groups) -> None:
    """Its own change is told like any other, and then nothing is told without a difference."""
    follower = Follower()

    def on_change(change: Change) -> None:
        groups.add("seen", "a", create=True)  # which changes nothing but the first time
        follower(change)

    with groups.watch(on_change):
        groups.create("team")
        follower.wait_for({"team": set(), "seen": {"a"}})
        groups.create("last")
        follower.wait_for({"team": set(), "seen": {"a"}, "last": set()})
    assert len(follower.told) == 3


def test_a_callback_may_watch(groups: Groups) -> None:
    """A watch that begins inside of a callback is told what comes after."""
    inner = Follower()
    begun = threading.Event()

    def on_change(change: Change) -> None:
        if not begun.is_set():
            groups.watch(inner)
            begun.set()

    with groups.watch(on_change):
        groups.create("first")
        assert begun.wait(PATIENCE)
        groups.create("second")
        inner.wait_for_change("created", "second")
    assert [change.group for change in inner.told] == ["second"]


def test_an_async_callback_is_refused(groups: Groups) -> None:
    """Nobody would await it here."""

    async def on_change(change: Change) -> None: ...

    with pytest.raises(TypeError, match="is async"):
        groups.watch(on_change)
