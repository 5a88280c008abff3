"""The whole surface, held against a plain ``dict[str, set[str]]``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import beryl_groups
from beryl_groups import AlreadyExists, Groups, NotFound, Transaction
from tests.contract.machine import run_machine

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = st.sampled_from(["a", "b", "ab", "é", "😀"]) | st.text(
    "abé\uffff😀 '%", min_size=1, max_size=3
)
TOPICS = st.lists(st.sampled_from(["t1", "t2", "t3", "t4", "é", "😀"]), max_size=4)
HANDLES = st.sampled_from([0, 1])


class GroupsBesideADict(RuleBasedStateMachine):
    """Two handles on one file, now and then restarted, do what a dict of sets does."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self.database = database
        self.folder = Path(tempfile.mkdtemp())
        self.copies = 0
        self.model: dict[str, set[str]] = {}
        self.handles: list[Groups] = []

    @initialize()
    def open_two_handles(self) -> None:
        self.handles = [beryl_groups.start(self.database, synchronous="normal") for _ in range(2)]

    def teardown(self) -> None:
        for handle in self.handles:
            handle.close()
        shutil.rmtree(self.folder)

    def both(
        self, on: int, call: Callable[[Groups | Transaction], object], expected: type | None
    ) -> bool:
        """Make a call; it has to raise what is expected, or nothing."""
        if expected is None:
            assert call(self.handles[on]) is None
            return True
        with pytest.raises(expected):
            call(self.handles[on])
        return False

    def missing(self, *names: str) -> type[NotFound] | None:
        return None if all(name in self.model for name in names) else NotFound

    @rule(on=HANDLES, name=NAMES)
    def create(self, on: int, name: str) -> None:
        expected = AlreadyExists if name in self.model else None
        if self.both(on, lambda groups: groups.create(name), expected):
            self.model[name] = set()

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def provision(self, on: int, name: str, topics: list[str]) -> None:
        self.both(on, lambda groups: groups.create(name, exist_ok=True), None)
        self.both(on, lambda groups: groups.add(name, *topics, create=True), None)
        self.model.setdefault(name, set()).update(topics)

    @rule(on=HANDLES, name=NAMES)
    def delete_if_there(self, on: int, name: str) -> None:
        self.both(on, lambda groups: groups.delete(name, missing_ok=True), None)
        self.model.pop(name, None)

    @rule(on=HANDLES, name=NAMES)
    def delete(self, on: int, name: str) -> None:
        if self.both(on, lambda groups: groups.delete(name), self.missing(name)):
            del self.model[name]

    @rule(on=HANDLES, name=NAMES, new_name=NAMES)
    def rename(self, on: int, name: str, new_name: str) -> None:
        taken = AlreadyExists if new_name in self.model else None
        expected = self.missing(name) or taken
        if self.both(on, lambda groups: groups.rename(name, new_name), expected):
            self.model[new_name] = self.model.pop(name)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def add(self, on: int, name: str, topics: list[str]) -> None:
        if self.both(on, lambda groups: groups.add(name, *topics), self.missing(name)):
            self.model[name] |= set(topics)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def remove(self, on: int, name: str, topics: list[str]) -> None:
        if self.both(on, lambda groups: groups.remove(name, *topics), self.missing(name)):
            self.model[name] -= set(topics)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def set_topics(self, on: int, name: str, topics: list[str]) -> None:
        if self.both(on, lambda groups: groups.set_topics(name, iter(topics)), self.missing(name)):
            self.model[name] = set(topics)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS, fails=st.booleans())
    def transact(self, on: int, name: str, topics: list[str], fails: bool) -> None:
        model = {group: set(held) for group, held in self.model.items()}
        try:
            with self.handles[on].transaction() as transaction:
                if name in transaction:
                    transaction.delete(name)
                    del model[name]
                else:
                    transaction.create(name)
                    transaction.add(name, *topics)
                    model[name] = set(topics)
                self.compare(transaction, model)
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            return
        self.model = model

    @rule(on=HANDLES, names=st.lists(NAMES, max_size=3), exclude=TOPICS, one=st.booleans())
    def broadcast(self, on: int, names: list[str], exclude: list[str], one: bool) -> None:
        got: list[str] = []
        group = names[0] if one and names else names
        reached = {
            topic
            for name in ([group] if isinstance(group, str) else group)
            for topic in self.model.get(name, ())
        }
        self.handles[on].broadcast(
            lambda topic, event, payload: got.append(topic), group, "e", None, exclude=exclude
        )
        assert got == sorted(reached - set(exclude))

    @rule(
        on=HANDLES,
        prefix=st.text("ab😀", max_size=2),
        after=st.none() | NAMES,
        limit=st.none() | st.integers(0, 3),
    )
    def page(self, on: int, prefix: str, after: str | None, limit: int | None) -> None:
        expected = [
            name
            for name in sorted(self.model)
            if name.startswith(prefix) and (after is None or name > after)
        ]
        page = self.handles[on].list_groups(prefix, after=after, limit=limit)
        assert page == expected[:limit]

    @rule(on=HANDLES)
    def restart(self, on: int) -> None:
        self.handles[on].close()
        self.handles[on] = beryl_groups.start(self.database, synchronous="normal")

    @rule(on=HANDLES)
    def back_up(self, on: int) -> None:
        self.copies += 1
        copy = self.folder / f"copy-{self.copies}.db"
        self.handles[on].backup(copy)
        with beryl_groups.start(copy) as groups:
            self.compare(groups, self.model)

    @rule(on=HANDLES)
    def check(self, on: int) -> None:
        assert self.handles[on].check() == []

    @rule(on=HANDLES, name=NAMES)
    def look_for_a_name(self, on: int, name: str) -> None:
        assert (name in self.handles[on]) == (name in self.model)
        if name not in self.model:
            with pytest.raises(NotFound):
                self.handles[on].topics(name)

    @invariant()
    def both_handles_agree_with_the_dict(self) -> None:
        for handle in self.handles:
            self.compare(handle, self.model)

    @staticmethod
    def compare(groups: Groups | Transaction, model: dict[str, set[str]]) -> None:
        assert list(groups) == groups.list_groups() == sorted(model)
        assert len(groups) == len(model)
        for name, topics in model.items():
            assert groups.topics(name) == topics
        for topic in ("t1", "é", "nowhere"):
            expected = sorted(name for name, topics in model.items() if topic in topics)
            assert groups.groups_of(topic) == expected


@pytest.mark.slow
def test_two_handles_do_what_a_dict_does(
    new_database: Callable[[], str], times: Callable[[int, int], int]
) -> None:
    """Whatever is called on them, in whatever order, each agrees with the dict after it."""
    run_machine(lambda: GroupsBesideADict(new_database()), times(60, 4), steps=30)
