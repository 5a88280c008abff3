"""Watches, for tasks."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Change, Closed, StorageFailed, aio
from tests.aio.loops import until
from tests.contract.watching import Follower
from tests.processes import PATIENCE, Fork, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups, AsyncWatch
    from tests.aio.loops import Run

TEAM = Change("created", "team")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """After each of these tests there is no thread of a watch."""
    yield
    wait_until(lambda: not threads())


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("beryl_groups-watch")]


async def take(watch: AsyncWatch, number: int = 1) -> list[Change]:
    """Return the next so many changes, which have to come."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(watch) for _ in range(number)]


def test_each_form_tells_what_changes(run: Run, path: Path) -> None:
    """A watch is a block, a loop, or something to be awaited, on each kind of event loop."""

    async def main() -> None:
        async with aio.start(path) as groups:
            async with groups.watch() as changes:
                await groups.create("team")
                assert await take(changes) == [TEAM]
            assert [change async for change in changes] == []
            async for change in groups.watch(known={}):
                assert change == TEAM
                break
            changes = await groups.watch(prefix="te")
            await groups.rename("team", "crew")
            assert await take(changes) == [Change("deleted", "team")]
            await changes.stop()
            await changes.stop()

    run(main())


@pytest.mark.parametrize("awaits", [True, False])
def test_a_callback_is_told_on_the_loop(run: Run, path: Path, awaits: bool) -> None:
    """Plain or async, it runs on the event loop, and one call ends before the next begins."""
    follower, running = Follower(), 0
    loops: set[asyncio.AbstractEventLoop] = set()

    async def on_change(change: Change) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        plain(change)

    def plain(change: Change) -> None:
        loops.add(asyncio.get_running_loop())
        follower(change)

    async def main() -> None:
        async with aio.start(path) as groups:
            async with groups.watch(on_change if awaits else plain):
                model = {str(number): {"a", "b"} for number in range(20)}
                async with groups.transaction() as transaction:
                    for name, topics in model.items():
                        await transaction.add(name, *topics, create=True)
                await until(lambda: follower.known == model)
            assert loops == {asyncio.get_running_loop()}

    run(main())
    assert follower.fault is None


def test_the_loop_goes_on_while_a_change_is_waited_for(path: Path) -> None:
    """Many tasks wait for changes, and none keeps another from its work."""

    async def main() -> None:
        async with aio.start(path) as groups:
            watches = [await groups.watch(group=str(number)) for number in range(50)]
            waiting = [asyncio.create_task(take(watch)) for watch in watches]
            for number in range(50):
                await groups.create(str(number))
            told = await asyncio.gather(*waiting)
            assert told == [[Change("created", str(number))] for number in range(50)]

    asyncio.run(main())


def test_what_a_callback_raises_is_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told on all the same; a cancellation that nobody asked for is a failure too."""
    told: list[str] = []

    async def on_change(change: Change) -> None:
        told.append(change.group)
        if change.group == "first":
            raise asyncio.CancelledError
        raise ZeroDivisionError

    async def main() -> None:
        async with aio.start(path) as groups, groups.watch(on_change):
            for name in ("first", "second"):
                await groups.create(name)
                await until(lambda name=name: name in told)  # type: ignore[misc]

    with caplog.at_level(logging.ERROR, "beryl_groups"):
        asyncio.run(main())
    assert caplog.messages == [
        "The callback of a watch failed at a change of the group 'first'.",
        "The callback of a watch failed at a change of the group 'second'.",
    ]


def test_a_callback_may_write_and_end_its_watch(path: Path) -> None:
    """It may use the handle, and a stop or a close within it waits for nothing."""
    told: list[Change] = []

    async def main(end: Callable[[AsyncGroups, AsyncWatch], Awaitable[None]]) -> None:
        ended = asyncio.Event()

        async def on_change(change: Change) -> None:
            told.append(change)
            await groups.create(f"seen {change.group}")
            await end(groups, watch)
            ended.set()

        async with aio.start(path) as groups:
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


def test_a_stop_waits_for_a_callback_and_cancels_it_where_it_is_cancelled(path: Path) -> None:
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

        async with aio.start(path) as groups:
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


def test_a_close_ends_what_waits(path: Path) -> None:
    """After it iteration ends, no callback is told, and a later watch is refused."""

    async def main() -> None:
        follower = Follower()
        groups = await aio.start(path)
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


def test_a_loop_that_ended_leaves_no_thread(path: Path) -> None:
    """Nor does a program hang that forgot to stop its watches, and holds the handle still."""
    held: list[Any] = []

    async def main() -> None:
        groups = await aio.start(path)
        held.extend([groups, await groups.watch(print), await groups.watch()])

    asyncio.run(main())
    wait_until(lambda: not threads())
    asyncio.run(held[0].close())


def test_an_iterator_that_is_forgotten_watches_no_longer(path: Path) -> None:
    """Who leaves a loop over the changes need not stop them."""

    async def main() -> None:
        async with aio.start(path) as groups:
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


def test_who_is_cancelled_waits_for_no_change(path: Path) -> None:
    """The watch goes on: what came meanwhile is told next."""

    async def main() -> None:
        async with aio.start(path) as groups, groups.watch() as changes:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(changes)
            await groups.create("team")
            assert await take(changes) == [TEAM]

    asyncio.run(main())


def test_a_beginning_that_is_cancelled_leaves_no_thread(path: Path) -> None:
    """A task that is cancelled while its watch begins has none."""

    async def main() -> None:
        async with aio.start(path) as groups:
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


def test_a_child_has_no_watch(path: Path) -> None:
    """After a fork the parent's goes on, and the child's says whose it is."""
    if not hasattr(os, "fork"):
        pytest.skip("this system knows no fork")

    async def main() -> None:
        async with aio.start(path) as groups, groups.watch() as changes:

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


def test_what_cannot_be_watched_is_refused(path: Path) -> None:
    """The arguments are held to the same rules as those of the plain face."""

    async def main() -> None:
        async with aio.start(path) as groups:
            with pytest.raises(TypeError, match="on_change is a callable"):
                groups.watch(1)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="above 0"):
                groups.watch(interval=-1)
            async with groups.watch(print) as watch:
                with pytest.raises(TypeError, match="to its callback"):
                    await anext(watch)
            assert repr(watch) == f"<AsyncWatch of {str(path)!r}, ended>"
            assert repr(groups.watch()) == f"<AsyncWatch of {str(path)!r}, not begun>"

    asyncio.run(main())


def test_a_watch_that_is_never_begun_is_warned_of(path: Path) -> None:
    """Nothing would be told to its callback, and nobody would know why."""

    async def main() -> None:
        async with aio.start(path) as groups:
            with pytest.warns(RuntimeWarning, match="not begun> was never awaited"):
                groups.watch(print)

    asyncio.run(main())


def test_a_close_that_is_cancelled_closes_all_the_same(path: Path) -> None:
    """It cancels a callback that is under way, for which it would have waited."""

    async def main() -> None:
        begun = asyncio.Event()

        async def on_change(change: Change) -> None:
            begun.set()
            await asyncio.Event().wait()

        groups = await aio.start(path)
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


def test_another_event_loop_is_refused(path: Path) -> None:
    """A watch belongs to the loop of its handle."""
    with asyncio.Runner() as own, asyncio.Runner() as other:

        async def start() -> AsyncGroups:
            return await aio.start(path)

        groups = own.run(start())

        async def watch() -> None:
            groups.watch()

        with pytest.raises(RuntimeError, match="belongs to the event loop"):
            other.run(watch())
        own.run(groups.close())


def test_a_watch_of_another_face_tells_the_same(path: Path) -> None:
    """What a plain handle writes is told to tasks, and the other way round."""

    async def main() -> None:
        async with aio.start(path) as groups, groups.watch() as changes:
            with beryl_groups.start(path) as plain:
                plain.create("team")
                assert await take(changes) == [TEAM]

    asyncio.run(main())
