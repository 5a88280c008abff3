"""The whole async face, held against a plain ``dict[str, set[str]]``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from beryl_groups import AlreadyExists, GroupError, NotFound, aio
from tests.contract.machine import run_machine
from tests.contract.test_state_machine import HANDLES, NAMES, TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from beryl_groups.aio import AsyncGroups, AsyncTransaction

Model = dict[str, set[str]]


class AsyncGroupsBesideADict(RuleBasedStateMachine):
    """Two async handles on one database, now and then restarted, do what a dict of sets does."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self.database = database
        self.model: Model = {}
        self.handles: list[AsyncGroups] = []
        self.loop = asyncio.Runner()

    @initialize()
    def open_two_handles(self) -> None:
        self.handles = [self.loop.run(self.started()) for _ in range(2)]

    async def started(self) -> AsyncGroups:
        return await aio.start(self.database, synchronous="normal")

    def teardown(self) -> None:
        for handle in self.handles:
            self.loop.run(handle.close())
        self.loop.close()

    def call(self, call: Coroutine[Any, Any, None], expected: type[Exception] | None) -> bool:
        """Make a call; it has to raise what is expected, or nothing."""
        if expected is None:
            self.loop.run(call)
            return True
        with pytest.raises(expected):
            self.loop.run(call)
        return False

    def missing(self, name: str) -> type[NotFound] | None:
        return None if name in self.model else NotFound

    @rule(on=HANDLES, name=NAMES)
    def create(self, on: int, name: str) -> None:
        expected = AlreadyExists if name in self.model else None
        if self.call(self.handles[on].create(name), expected):
            self.model[name] = set()

    @rule(on=HANDLES, name=NAMES)
    def delete(self, on: int, name: str) -> None:
        if self.call(self.handles[on].delete(name), self.missing(name)):
            del self.model[name]

    @rule(on=HANDLES, name=NAMES, new_name=NAMES)
    def rename(self, on: int, name: str, new_name: str) -> None:
        taken = AlreadyExists if new_name in self.model else None
        if self.call(self.handles[on].rename(name, new_name), self.missing(name) or taken):
            self.model[new_name] = self.model.pop(name)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def add(self, on: int, name: str, topics: list[str]) -> None:
        if self.call(self.handles[on].add(name, *topics), self.missing(name)):
            self.model[name] |= set(topics)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def remove(self, on: int, name: str, topics: list[str]) -> None:
        if self.call(self.handles[on].remove(name, *topics), self.missing(name)):
            self.model[name] -= set(topics)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS)
    def set_topics(self, on: int, name: str, topics: list[str]) -> None:
        if self.call(self.handles[on].set_topics(name, iter(topics)), self.missing(name)):
            self.model[name] = set(topics)

    @rule(on=HANDLES, name=NAMES, topics=TOPICS, fails=st.booleans())
    def transact(self, on: int, name: str, topics: list[str], fails: bool) -> None:
        model = {group: set(held) for group, held in self.model.items()}

        async def transact() -> None:
            async with self.handles[on].transaction() as transaction:
                if await transaction.exists(name):
                    await transaction.delete(name)
                    del model[name]
                else:
                    await transaction.create(name)
                    await transaction.add(name, *topics)
                    model[name] = set(topics)
                await compare(transaction, model)
                if fails:
                    raise ZeroDivisionError

        if self.call(transact(), ZeroDivisionError if fails else None):
            self.model = model

    @rule(on=HANDLES, names=st.lists(NAMES, max_size=3), exclude=TOPICS, is_async=st.booleans())
    def broadcast(self, on: int, names: list[str], exclude: list[str], is_async: bool) -> None:
        got: list[str] = []

        async def send(topic: str, event: str, payload: object) -> None:
            got.append(topic)

        plain: Callable[[str, str, object], object] = lambda topic, *_: got.append(topic)  # noqa: E731
        callback = send if is_async else plain
        self.loop.run(self.handles[on].broadcast(callback, names, "e", None, exclude=exclude))
        reached = {topic for name in names for topic in self.model.get(name, ())}
        assert got == sorted(reached - set(exclude))

    @rule(on=HANDLES)
    def restart(self, on: int) -> None:
        self.loop.run(self.handles[on].close())
        self.handles[on] = self.loop.run(self.started())

    @invariant()
    def both_handles_agree_with_the_dict(self) -> None:
        for handle in self.handles:
            self.loop.run(compare(handle, self.model))


async def compare(groups: AsyncGroups | AsyncTransaction, model: Model) -> None:
    assert [name async for name in groups] == await groups.list_groups() == sorted(model)
    assert await groups.count() == len(model)
    for name, topics in model.items():
        assert await groups.topics(name) == topics
        assert await groups.exists(name)
    for topic in ("t1", "é", "nowhere"):
        expected = sorted(name for name, topics in model.items() if topic in topics)
        assert await groups.groups_of(topic) == expected


@pytest.mark.slow
def test_two_handles_do_what_a_dict_does(
    new_database: Callable[[], str], times: Callable[[int, int], int]
) -> None:
    """Whatever is called on them, in whatever order, each agrees with the dict after it."""
    run_machine(lambda: AsyncGroupsBesideADict(new_database()), times(20, 2), times(20, 15))


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["create", "delete", "rename", "add", "remove", "set_topics"]),
        st.sampled_from("abc"),
        st.sampled_from("abc"),
    ),
    max_size=12,
)


def do(model: Model, kind: str, name: str, other: str) -> type[GroupError] | None:
    """Do in a dict what a call does, or return the error that it raises."""
    if kind == "create":
        if name in model:
            return AlreadyExists
        model[name] = set()
    elif name not in model:
        return NotFound
    elif kind == "delete":
        del model[name]
    elif kind == "rename":
        if other in model:
            return AlreadyExists
        model[other] = model.pop(name)
    elif kind == "add":
        model[name].add(other)
    elif kind == "remove":
        model[name].discard(other)
    else:
        model[name] = {other}
    return None


def test_calls_made_at_once_take_effect_in_their_order(
    database: str, times: Callable[[int, int], int]
) -> None:
    """Calls of many tasks do what they do one after the other, however they share commits."""

    async def make(groups: AsyncGroups, rounds: list[list[tuple[str, str, str]]]) -> None:
        model: Model = {}
        for name in await groups.list_groups():
            await groups.delete(name)
        for calls in rounds:
            made = [
                getattr(groups, kind)(name, [other] if kind == "set_topics" else other)
                if kind not in {"create", "delete"}
                else getattr(groups, kind)(name)
                for kind, name, other in calls
            ]
            ended = await asyncio.gather(*made, return_exceptions=True)
            expected = [do(model, *call) for call in calls]
            assert [None if each is None else type(each) for each in ended] == expected
            await compare(groups, model)

    async def start() -> AsyncGroups:
        return await aio.start(database, synchronous="normal")

    with asyncio.Runner() as loop:
        groups = loop.run(start())

        @settings(max_examples=times(40, 10), deadline=None)
        @given(rounds=st.lists(WRITES, max_size=3))
        def made_at_once(rounds: list[list[tuple[str, str, str]]]) -> None:
            loop.run(make(groups, rounds))

        try:
            made_at_once()
        finally:
            loop.run(groups.close())
