"""Who watches: each knows what it was told, and is asked for it in moments of rest."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import beryl_groups
from beryl_groups import Watch, aio
from tests.contract.watching import Known, apply, known_of
from tests.processes import PATIENCE
from tests.torture.watch.variants import BROKEN
from tests.torture.watch.writers import NAMES, NEVER, PAIR

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from beryl_groups import Change, Groups
    from beryl_groups.aio import AsyncWatch
    from tests.torture.watch.session import Plan

_REST = PATIENCE / 3
"""Seconds in which all that was written has to be told."""

KINDS: dict[str, dict[str, Any]] = {
    "callback": {},
    "slow": {},
    "prefix": {"prefix": "a:"},
    "names": {"group": NAMES[::3]},
    "iterator": {},
}
"""What the watches of one handle are, each in a thread of its own."""


class Knower:
    """What one watch was told, step by step."""

    def __init__(self, name: str, scope: dict[str, Any]) -> None:
        self.name = name
        self.scope = scope
        self.known: Known = {}
        self.steps = 0
        self.fault: str | None = None
        self.watch: Watch | AsyncWatch | None = None
        self.thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def take(self, change: Change) -> None:
        with self._changed:
            try:
                assert NEVER not in change.topics, "it was undone"
                apply(self.known, change)
                if self.watch is not None and not self.watch._feed._left[1]:
                    left, right = (self.known.get(name) for name in PAIR)
                    assert left == right, "half of a transaction was told"
            except (AssertionError, KeyError):
                self.fault = self.fault or f"{change}: {traceback.format_exc()}"
            self.steps += max(len(change.topics), 1)
            self._changed.notify_all()

    def knows(self, model: Known, deadline: float) -> str | None:
        """Wait until it knows what it has to of this, and return what is wrong with it."""
        expected = {name: topics for name, topics in model.items() if self._is_wanted(name)}
        with self._changed:
            self._changed.wait_for(
                lambda: self.fault or self.known == expected, max(deadline - time.monotonic(), 0)
            )
            fault = self.fault
            if fault is None and self.known != expected:
                fault = f"it knows {self.known}, and the file holds {expected}"
        return fault and f"{self.name}: {fault}"

    def _is_wanted(self, name: str) -> bool:
        names = self.scope.get("group")
        return name in names if names else name.startswith(self.scope.get("prefix", ""))


def watch(plan: Plan, number: int, pipe: Connection) -> None:
    """Be a process that watches: begin anew at any moment, and be asked for what is known."""
    choice = random.Random(f"{plan.seed}, watcher {number}")
    for variant in plan.variants:
        BROKEN[variant]()
    if number % 2:
        asyncio.run(_watch_on_a_loop(plan, choice, pipe))
        return
    knowers = [Knower(f"watcher {number}, {kind}", scope) for kind, scope in KINDS.items()]
    with beryl_groups.start(plan.path, busy_timeout=PATIENCE) as groups:
        for knower in knowers:
            _begin(groups, knower)
        with suppress(EOFError):
            while True:
                asked = pipe.recv()
                if asked is None:
                    _begin_anew(groups, choice.choice(knowers), choice)
                else:
                    pipe.send(_answer(knowers, asked))


def _answer(knowers: list[Knower], asked: Any) -> tuple[list[str], int]:
    model, deadline = known_of(asked), time.monotonic() + _REST
    faults = [fault for each in knowers if (fault := each.knows(model, deadline)) is not None]
    return faults, sum(each.steps for each in knowers)


def _begin(groups: Groups, knower: Knower) -> None:
    known = {name: set(topics) for name, topics in knower.known.items()}
    if knower.name.endswith("iterator"):
        changes = knower.watch = groups.watch(known=known, interval=0.01, **knower.scope)

        def iterate() -> None:
            for change in changes:
                knower.take(change)

        knower.thread = threading.Thread(target=iterate, daemon=True)
        knower.thread.start()
        return
    slow = knower.name.endswith("slow")

    def on_change(change: Change) -> None:
        if slow:
            time.sleep(0.002)
        knower.take(change)

    knower.watch = None  # until it is known, what one look tells cannot be told apart
    knower.watch = groups.watch(on_change, known=known, interval=0.01, **knower.scope)


def _begin_anew(groups: Groups, knower: Knower, choice: random.Random) -> None:
    assert isinstance(knower.watch, Watch)
    knower.watch.stop()
    if knower.thread is not None:
        knower.thread.join()
    if choice.random() < 0.5:
        knower.known = {}
    _begin(groups, knower)


async def _watch_on_a_loop(plan: Plan, choice: random.Random, pipe: Connection) -> None:
    knowers = [Knower(f"asyncio, {kind}", scope) for kind, scope in KINDS.items()]
    async with aio.start(plan.path, busy_timeout=PATIENCE) as groups:

        async def follow(knower: Knower) -> None:
            known = dict(knower.known)
            async with groups.watch(known=known, interval=0.01, **knower.scope) as changes:
                knower.watch = changes
                async for change in changes:
                    knower.take(change)
                    if choice.random() < 0.01:
                        await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(follow(knower)) for knower in knowers]
        with suppress(EOFError):
            while True:
                asked = await asyncio.to_thread(pipe.recv)
                if asked is not None:
                    pipe.send(await asyncio.to_thread(_answer, knowers, asked))
                    continue
                number = choice.randrange(len(tasks))
                tasks[number].cancel()
                await asyncio.wait([tasks[number]])
                tasks[number] = asyncio.create_task(follow(knowers[number]))
        for task in tasks:
            task.cancel()
