"""What is told, applied step by step to what was known: no step of it may be impossible."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from beryl_groups import Change, Watch

Known = dict[str, frozenset[str]]


def known_of(model: Mapping[str, set[str] | frozenset[str]]) -> Known:
    return {name: frozenset(topics) for name, topics in model.items()}


def apply(known: Known, change: Change) -> None:
    """Take a step, and refuse one that meets what is not there, or what is there already."""
    group, topics = change.group, change.topics
    assert (change.old_name is not None) == (change.kind == "renamed"), change
    if change.kind == "created":
        assert group not in known, change
        known[group] = topics
    elif change.kind == "deleted":
        assert known.pop(group) == topics, change
    elif change.kind == "renamed":
        assert change.old_name is not None
        assert group not in known, change
        assert not topics
        known[group] = known.pop(change.old_name)
    elif change.kind == "added":
        assert topics, change
        assert not topics & known[group], change
        known[group] |= topics
    else:
        assert change.kind == "removed"
        assert topics, change
        assert topics <= known[group], change
        known[group] -= topics


class Follower:
    """A callback of a watch, which keeps what it knows up to date and the changes it was told."""

    def __init__(self, known: Mapping[str, set[str] | frozenset[str]] | None = None) -> None:
        self.known = known_of(known or {})
        self.told: list[Change] = []
        self.fault: BaseException | None = None
        self._changed = threading.Condition()

    def __call__(self, change: Change) -> None:
        with self._changed:
            try:
                apply(self.known, change)
            except BaseException as error:
                self.fault = self.fault or error
            self.told.append(change)
            self._changed.notify_all()

    def wait_for(self, model: Mapping[str, set[str] | frozenset[str]]) -> None:
        """Wait until it knows this, having met no impossible step."""
        expected = known_of(model)
        with self._changed:
            self._changed.wait_for(lambda: self.fault or self.known == expected, PATIENCE)
            assert self.fault is None, self.told
            assert self.known == expected, self.told

    def wait_for_change(self, kind: str, group: str) -> None:
        """Wait until a change of this kind and group has been told."""
        with self._changed:
            told = self._changed.wait_for(
                lambda: any((c.kind, c.group) == (kind, group) for c in self.told), PATIENCE
            )
            assert told, self.told


def take(watch: Watch, number: int = 1) -> list[Change]:
    """Return the next so many changes, which have to come."""
    return in_thread(lambda: [next(watch) for _ in range(number)]).result(PATIENCE)
