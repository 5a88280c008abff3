"""What a fork does to watches: the parent's go on, and the child has none."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Change, Closed
from tests.contract.watching import Follower, take
from tests.processes import Fork

if TYPE_CHECKING:
    from beryl_groups import Groups

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork"),
    # See test_fork.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def test_a_watch_goes_on_in_the_parent(groups: Groups, database: str) -> None:
    """What the child and the parent write from then on is told, and what came before once."""

    def write() -> None:
        with beryl_groups.start(database) as own:
            own.create("child")

    follower = Follower()
    with groups.watch(follower):
        model: dict[str, set[str]] = {}
        for turn in range(10):
            groups.create(f"{turn}")
            Fork(write if turn == 5 else bool).result()
            model[f"{turn}"] = set()
            if turn == 5:
                model["child"] = set()
            follower.wait_for(model)


def test_a_child_has_no_watch(groups: Groups) -> None:
    """It has no thread, its iteration says whose the handle is, and to end it harms nobody."""
    changes, told = groups.watch(), Follower()
    watch = groups.watch(told)

    def in_child() -> tuple[int, list[str]]:
        said = []
        for call in (lambda: next(changes), lambda: groups.watch(told), groups.watch):
            try:
                call()
            except Closed as error:
                said.append(str(error))
        changes.stop()
        watch.stop()
        groups.close()
        return threading.active_count(), said

    running, said = Fork(in_child).result()
    assert running == 1
    assert len(said) == 3
    assert all(each.startswith(f"The handle belongs to process {os.getpid()}") for each in said)
    groups.create("team")
    assert take(changes) == [Change("created", "team")]
    told.wait_for({"team": set()})


def test_a_fork_within_a_callback_harms_nobody(groups: Groups, database: str) -> None:
    """A callback may start a process in any way."""
    follower = Follower()

    def on_change(change: Change) -> None:
        if change.group == "team":
            Fork(lambda: None).result()
        follower(change)

    with groups.watch(on_change):
        groups.create("team")
        follower.wait_for({"team": set()})
        groups.create("crew")
        follower.wait_for({"team": set(), "crew": set()})


def test_a_child_watches_a_handle_of_its_own(groups: Groups, database: str) -> None:
    """After a fork beside a watch the child opens the file anew, and watches it."""
    with groups.watch():

        def in_child() -> list[Change]:
            with beryl_groups.start(database) as own, own.watch() as changes:
                own.create("child")
                return take(changes)

        assert Fork(in_child).result() == [Change("created", "child")]
