"""What watches are told, held against a plain ``dict[str, set[str]]``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import beryl_groups
from tests.contract.machine import run_machine
from tests.contract.watching import Follower

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups

NAMES = st.sampled_from(["a", "b", "ab", "aa", "é", "😀"])
TOPICS = st.lists(st.sampled_from(["t1", "t2", "t3", "😀"]), max_size=3)
HANDLES = st.sampled_from([0, 1])
Model = dict[str, set[str]]


class WatchesBesideADict(RuleBasedStateMachine):
    """Two handles write; watches of one, begun at any moment, come to know what the dict holds."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self.database = database
        self.folder = Path(tempfile.mkdtemp())
        self.model: Model = {}
        self.kept: Model | None = None
        self.handles: list[Groups] = []
        self.followers: list[tuple[Follower, Callable[[str], bool], beryl_groups.Watch]] = []

    @initialize()
    def open_two_handles(self) -> None:
        self.handles = [beryl_groups.start(self.database, synchronous="normal") for _ in range(2)]

    def teardown(self) -> None:
        try:
            self.look()
        finally:
            for handle in self.handles:
                handle.close()
            shutil.rmtree(self.folder)

    @rule(known=st.none() | st.dictionaries(NAMES, TOPICS.map(set), max_size=3))
    def watch_all(self, known: Model | None) -> None:
        self.follow(known, lambda _: True)

    @rule(prefix=st.sampled_from(["a", "ab", "é"]))
    def watch_a_prefix(self, prefix: str) -> None:
        self.follow(None, lambda name: name.startswith(prefix), prefix=prefix)

    @rule(names=st.lists(NAMES, max_size=2))
    def watch_some(self, names: list[str]) -> None:
        self.follow(None, lambda name: name in names, group=names)

    def follow(self, known: Model | None, wanted: Callable[[str], bool], **scope: Any) -> None:
        now = {name: topics for name, topics in self.model.items() if wanted(name)}
        follower = Follower(now if known is None else known)
        watch = self.handles[0].watch(follower, known=known, interval=0.01, **scope)
        self.followers.append((follower, wanted, watch))

    @rule()
    def look(self) -> None:
        for follower, wanted, _ in self.followers:
            follower.wait_for({name: set_ for name, set_ in self.model.items() if wanted(name)})

    @rule(which=st.integers(0, 9))
    def stop(self, which: int) -> None:
        if self.followers:
            *_, watch = self.followers.pop(which % len(self.followers))
            watch.stop()

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def set_topics(self, on: int, name: str, topics: list[str]) -> None:
        self.handles[on].create(name, exist_ok=True)
        self.handles[on].set_topics(name, topics)
        self.model[name] = set(topics)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def add(self, on: int, name: str, topics: list[str]) -> None:
        self.handles[on].add(name, *topics, create=True)
        self.model[name] = {*self.model.get(name, ()), *topics}

    @rule(on=HANDLES, name=NAMES)
    def delete(self, on: int, name: str) -> None:
        self.handles[on].delete(name, missing_ok=True)
        self.model.pop(name, None)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def make_anew(self, on: int, name: str, topics: list[str]) -> None:
        with self.handles[on].transaction() as transaction:
            transaction.delete(name, missing_ok=True)
            transaction.add(name, *topics, create=True)
        self.model[name] = set(topics)

    @rule(on=HANDLES, order=st.permutations(["a", "b", "ab", "aa", "é", "😀"]))
    def exchange_names(self, on: int, order: list[str]) -> None:
        """Rename several groups in one transaction, in chains and circles."""
        named = dict(zip(sorted(self.model), order, strict=False))
        with self.handles[on].transaction() as transaction:
            for name in named:
                transaction.rename(name, f"{name} on its way")
            for name, new_name in named.items():
                transaction.rename(f"{name} on its way", new_name)
        self.model = {new_name: self.model[name] for name, new_name in named.items()}

    @rule(on=HANDLES)
    def back_up(self, on: int) -> None:
        (self.folder / "copy.db").unlink(missing_ok=True)
        self.handles[on].backup(self.folder / "copy.db")
        self.kept = {name: set(topics) for name, topics in self.model.items()}

    @rule(on=HANDLES)
    def restore(self, on: int) -> None:
        if self.kept is not None:
            self.handles[on].restore(self.folder / "copy.db")
            self.model = {name: set(topics) for name, topics in self.kept.items()}


@pytest.mark.slow
def test_watches_come_to_know_what_a_dict_holds(
    new_database: Callable[[], str], times: Callable[[int, int], int]
) -> None:
    """Whatever is written and whenever a watch begins, no step is impossible, and all is told."""
    run_machine(lambda: WatchesBesideADict(new_database()), times(60, 4), steps=30)
