"""Tasks that are cancelled: what they asked for happened or did not, and the handle goes on."""

from __future__ import annotations

import asyncio
import random
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import aio
from tests.aio import loops
from tests.processes import PATIENCE
from tests.sqlite.wal import commits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups
    from beryl_groups.calls import Call
    from tests.aio.loops import Run


async def transact(groups: AsyncGroups, *topics: str) -> None:
    async with groups.transaction() as transaction:
        for topic in topics:
            await transaction.add("group", topic)


def test_a_call_whose_turn_has_not_come_is_not_carried_out(database: str, run: Run) -> None:
    """It is cancelled at once, beside a transaction of another task, and stores nothing."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            async with groups.transaction() as transaction:
                waiting = [
                    asyncio.create_task(groups.add("group", "cancelled")),
                    asyncio.create_task(transact(groups, "cancelled", "too")),
                    asyncio.create_task(groups.add("group", "kept")),
                ]
                await loops.until(lambda: loops.queued(groups) == 3)
                for each in waiting[:2]:
                    each.cancel()
                assert await loops.outcomes(*waiting[:2]) == [asyncio.CancelledError] * 2
                await transaction.add("group", "mine")
            await waiting[2]
            assert await groups.topics("group") == {"mine", "kept"}

    run(main())


def test_a_call_that_waits_for_another_process_can_be_cancelled(database: str, run: Run) -> None:
    """It is at once, with those that share its turn, and stores nothing."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            with beryl_groups.start(database) as other, other.transaction():
                waiting = [asyncio.create_task(groups.add("group", f"{n}")) for n in range(3)]
                await loops.until(lambda: loops.carried_out(groups))
                for each in waiting[:2]:
                    each.cancel()
                assert await loops.outcomes(*waiting[:2]) == [asyncio.CancelledError] * 2
                assert not waiting[2].done()
            await waiting[2]
            assert await groups.topics("group") == {"2"}

    run(main())


def test_a_transaction_that_waits_for_another_process_can_be_cancelled(
    database: str, run: Run
) -> None:
    """It is at once; its turn ends when the other process lets go, and others have theirs."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            with beryl_groups.start(database) as other, other.transaction():
                waiting = asyncio.create_task(transact(groups, "a"))
                await loops.until(lambda: loops.carried_out(groups))
                waiting.cancel()
                assert await loops.outcomes(waiting) == [asyncio.CancelledError]
                behind = asyncio.create_task(groups.add("group", "behind"))
                await asyncio.sleep(0.001)
                assert not behind.done()
            await behind
            assert await groups.topics("group") == {"behind"}

    run(main())


def test_a_call_that_is_being_carried_out_is_finished_first(
    database: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is cancelled then, twice too, gets CancelledError when it is stored."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            begun, let_go = threading.Event(), threading.Event()
            write_all = groups._engine.write_all

            def write_all_and_wait(calls: Sequence[Call[Any]], wait: float) -> None:
                write_all(calls, wait)
                begun.set()
                assert let_go.wait(PATIENCE)

            monkeypatch.setattr(groups._engine, "write_all", write_all_and_wait)
            tasks = [asyncio.create_task(groups.add("group", f"{n}")) for n in range(2)]
            await loops.until(begun.is_set)
            for _ in range(3):
                tasks[0].cancel()
                await asyncio.sleep(0.001)
                assert not tasks[0].done()
            let_go.set()
            assert await loops.outcomes(*tasks) == [asyncio.CancelledError, None]
            assert await groups.topics("group") == {"0", "1"}

    run(main())


@pytest.mark.parametrize("kind", ["write", "transaction"])
def test_a_cancellation_at_any_await_is_clean(database: str, run: Run, kind: str) -> None:
    """Whichever await is cancelled, all of it is stored or nothing, and the next calls work."""
    found: set[bool] = set()

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            for step in range(1, 100):
                if kind == "write":
                    coroutine = groups.add("group", "a", "b", "c")
                else:
                    coroutine = transact(groups, "a", "b", "c")
                cancelled = await loops.cancelled_at(step, coroutine)
                stored = await groups.topics("group")
                assert stored in (set(), {"a", "b", "c"})
                await transact(groups, "a", "b", "c", "d")
                await groups.set_topics("group", [])
                if not cancelled:
                    assert stored
                    assert step > (1 if kind == "write" else 5)
                    break
                found.add(bool(stored))
            assert await groups.check() == []

    run(main())
    assert False in found or kind == "write"


def test_cancellations_at_random_moments_lose_nothing(
    database: str, run: Run, times: Callable[[int, int], int]
) -> None:
    """What returned is stored, what was cancelled is stored as a whole or not at all."""
    chance = random.Random(5)
    stored: set[str] = set()
    uncertain: set[str] = set()

    async def write(groups: AsyncGroups, name: str) -> None:
        topics = [f"{name}:{number}" for number in range(3)]
        try:
            if chance.random() < 0.3:
                await transact(groups, *topics)
            else:
                await groups.add("group", *topics)
        except asyncio.CancelledError:
            uncertain.add(name)
            raise
        stored.add(name)

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE, synchronous="normal") as groups:
            await groups.create("group")
            for turn in range(times(30, 5)):
                tasks = [asyncio.create_task(write(groups, f"{turn}:{n}")) for n in range(20)]
                in_danger = chance.sample(tasks, 15)  # on a slow machine none would be left
                while victims := [task for task in in_danger if not task.done()]:
                    if chance.random() < 0.3:
                        chance.choice(victims).cancel()
                    await asyncio.sleep(chance.choice((0, 0, 0.0005)))
                await loops.outcomes(*tasks)
            found = await groups.topics("group")
            names = [name for name, _, _ in (topic.rpartition(":") for topic in found)]
            assert all(names.count(name) == 3 for name in set(names))
            assert stored <= set(names) <= stored | uncertain
            assert stored
            assert uncertain
            assert await groups.check() == []

    run(main())


def test_a_timeout_ends_the_wait_alone(database: str) -> None:
    """``asyncio.timeout`` and ``wait_for`` raise TimeoutError, and the handle goes on."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            async with groups.transaction():
                other = asyncio.create_task(asyncio.wait_for(groups.add("group", "a"), 0.01))
                assert await loops.outcomes(other) == [TimeoutError]

            async def stay() -> None:
                async with asyncio.timeout(0.01), groups.transaction() as transaction:
                    await transaction.add("group", "b")
                    await asyncio.Event().wait()

            with pytest.raises(TimeoutError):
                await stay()
            assert await groups.topics("group") == frozenset()
            await groups.add("group", "c")

    asyncio.run(main())


def test_the_scopes_of_anyio_end_the_wait_alone(database: str) -> None:
    """``move_on_after`` leaves a write, a read or a transaction, and the handle goes on."""
    anyio = pytest.importorskip("anyio", reason="needs anyio")

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            with beryl_groups.start(database) as other, other.transaction():
                with anyio.move_on_after(0.01) as scope:
                    await groups.add("group", "a")
                assert scope.cancelled_caught
                with anyio.move_on_after(0.01) as scope:
                    await transact(groups, "a")
                assert scope.cancelled_caught
            with anyio.move_on_after(0.01) as scope:
                async with groups.transaction() as transaction:
                    await transaction.add("group", "b")
                    await anyio.sleep_forever()
            assert scope.cancelled_caught
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(groups.add, "group", f"{number}")
            assert len(await groups.topics("group")) == 20

    anyio.run(main)


def test_a_thousand_calls_that_are_cancelled_cost_nothing(path: Path) -> None:
    """None of them has a commit, and the calls that are left have theirs."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            before = commits(path)
            async with groups.transaction():
                add = partial(groups.add, "group")
                waiting = [asyncio.create_task(add(f"{number}")) for number in range(1000)]
                await loops.until(lambda: loops.queued(groups) == 1000)
                for each in waiting[1:]:
                    each.cancel()
                await loops.outcomes(*waiting[1:])
            await waiting[0]
            assert await groups.topics("group") == {"0"}
            assert commits(path) == before + 1

    asyncio.run(main())
