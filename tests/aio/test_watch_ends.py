"""How the watches of tasks end, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups import Change, Closed, StorageFailed, aio
from tests.aio.loops import until
from tests.aio.test_watch import TEAM, no_thread_is_left, take, threads
from tests.contract.watching import Follower
from tests.processes import PATIENCE, Fork, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups, AsyncWatch

__all__ = ["no_thread_is_left"]  # a fixture, for each of these tests


def test_a_callback_may_write_and_end_its_watch(database: str) -> None:
    """It may use the handle, and a stop or a close within it waits for nothing."""
    told: list[Change] = []

    async def main(end: Callable[[AsyncGroups, AsyncWatch], Awaitable[None]]) -> None:
        ended = asyncio.Event()

        async def on_change(change: Change) -> None:
            told.append(change)
            await groups.create(f"seen {change.group}")
            await end(groups, watch)
            ended.set()

        async with aio.start(database) as groups:
            watch = await groups.watch(on_change, prefix="team")
            await groups.create("team")
            async with asyncio.timeout(PATIENCE):
                await ended.wait()
            if groups._engine.closed is None:
                await groups.delete("seen team")
                await groups.delete("team")

    asyncio.run(main(lambda groups, watch: watch.stop()))
    asyncio.run(main(lambda groups, watch: groups.close()))
    assert told == [TEAM, TEAM]


def test_a_stop_waits_for_a_callback_and_cancels_it_where_it_is_cancelled(database: str) -> None:
    """A callback that is under way ends; who has no time for that cancels the stop."""
    ended: list[str] = []

    async def main() -> None:
        begun, gate = asyncio.Event(), asyncio.Event()

        async def on_change(change: Change) -> None:
            begun.set()
            try:
                await gate.wait()
                ended.append("well")
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        async with aio.start(database) as groups:
            for name in ("first", "second"):
                watch = await groups.watch(on_change)
                await groups.create(name)
                await begun.wait()
                stopping = asyncio.create_task(watch.stop())
                await asyncio.sleep(0)
                if name == "first":
                    gate.set()
                    await stopping
                    begun.clear()
                    gate.clear()
                else:
                    stopping.cancel()
                    await asyncio.wait([stopping])
                    await until(lambda: len(ended) == 2)

    asyncio.run(main())
    assert ended == ["well", "cancelled"]


def test_a_close_ends_what_waits(database: str) -> None:
    """After it iteration ends, no callback is told, and a later watch is refused."""

    async def main() -> None:
        follower = Follower()
        groups = await aio.start(database)
        changes = await groups.watch()
        unbegun = groups.watch()
        await groups.watch(follower)
        waiting = asyncio.create_task(anext(changes, None))
        await asyncio.sleep(0)
        await groups.close()
        assert not threads()
        assert await waiting is None
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert [change async for change in unbegun] == []
        with pytest.raises(Closed):
            groups.watch()

    asyncio.run(main())


def test_a_loop_that_ended_leaves_no_thread(database: str) -> None:
    """Nor does a program hang that forgot to stop its watches, and holds the handle still."""
    held: list[Any] = []

    async def main() -> None:
        groups = await aio.start(database)
        held.extend([groups, await groups.watch(print), await groups.watch(interval=3600)])

    asyncio.run(main())
    wait_until(lambda: not threads())
    asyncio.run(held[0].close())


def test_an_iterator_that_is_forgotten_watches_no_longer(database: str) -> None:
    """Who leaves a loop over the changes need not stop them."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await groups.create("team")
            async for change in groups.watch(known={}):
                assert change == TEAM
                break
            del change
            gc.collect()
            await until(lambda: not threads())
            follower = Follower()
            await groups.watch(follower)  # which a callback is not
            gc.collect()
            await groups.create("crew")
            await until(lambda: follower.told == [Change("created", "crew")])

    asyncio.run(main())


def test_a_beginning_that_is_cancelled_leaves_no_thread(database: str) -> None:
    """A task that is cancelled while its watch begins has none."""

    async def main() -> None:
        async with aio.start(database) as groups:
            task = asyncio.create_task(anext(groups.watch()))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: not threads())

    asyncio.run(main())


def test_a_file_that_was_moved_ends_the_watch(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who iterates gets an error, and the end of a callback is logged."""

    async def main() -> None:
        async with aio.start(path) as groups:
            changes = await groups.watch()
            await groups.watch(Follower())
            path.rename(path.with_name("kept.db"))
            with pytest.raises(StorageFailed, match="moved or replaced"):
                await take(changes)
            await until(lambda: "A watch has ended: The file " in caplog.text)

    asyncio.run(main())


def test_a_child_has_no_watch(database: str) -> None:
    """After a fork the parent's goes on, and the child's says whose it is."""
    if not hasattr(os, "fork"):
        pytest.skip("this system knows no fork")

    async def main() -> None:
        async with aio.start(database) as groups, groups.watch() as changes:

            def in_child() -> str:
                async def iterate() -> str:
                    try:
                        await anext(changes)
                    except Closed as error:
                        return str(error)
                    return "it went on"

                try:
                    iterate().send(None)
                except StopIteration as end:
                    return str(end.value)
                return "it waits"

            said = Fork(in_child).result()
            assert said.startswith("The handle belongs to process"), said
            await groups.create("team")
            assert await take(changes) == [TEAM]

    asyncio.run(main())


def test_a_close_that_is_cancelled_closes_all_the_same(database: str) -> None:
    """It cancels a callback that is under way, for which it would have waited."""

    async def main() -> None:
        begun = asyncio.Event()

        async def on_change(change: Change) -> None:
            begun.set()
            await asyncio.Event().wait()

        groups = await aio.start(database)
        await groups.watch(on_change)
        await groups.create("team")
        await begun.wait()
        closing = asyncio.create_task(groups.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not threads()
        with pytest.raises(Closed):
            await groups.count()

    asyncio.run(main())
