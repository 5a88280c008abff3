"""Watches, for tasks."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Change, aio
from tests.aio.loops import until
from tests.contract.watching import Follower
from tests.processes import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_each_form_tells_what_changes(run: Run, database: str) -> None:
    """A watch is a block, a loop, or something to be awaited, on each kind of event loop."""

    async def main() -> None:
        async with aio.start(database) as groups:
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
def test_a_callback_is_told_on_the_loop(run: Run, database: str, awaits: bool) -> None:
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
        async with aio.start(database) as groups:
            async with groups.watch(on_change if awaits else plain):
                model = {str(number): {"a", "b"} for number in range(20)}
                async with groups.transaction() as transaction:
                    for name, topics in model.items():
                        await transaction.add(name, *topics, create=True)
                await until(lambda: follower.known == model)
            assert loops == {asyncio.get_running_loop()}

    run(main())
    assert follower.fault is None


def test_the_loop_goes_on_while_a_change_is_waited_for(database: str) -> None:
    """Many tasks wait for changes, and none keeps another from its work."""

    async def main() -> None:
        async with aio.start(database) as groups:
            watches = [await groups.watch(group=str(number)) for number in range(50)]
            waiting = [asyncio.create_task(take(watch)) for watch in watches]
            for number in range(50):
                await groups.create(str(number))
            told = await asyncio.gather(*waiting)
            assert told == [[Change("created", str(number))] for number in range(50)]

    asyncio.run(main())


def test_what_a_callback_raises_is_logged(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is told on all the same; a cancellation that nobody asked for is a failure too."""
    told: list[str] = []

    async def on_change(change: Change) -> None:
        told.append(change.group)
        if change.group == "first":
            raise asyncio.CancelledError
        raise ZeroDivisionError

    async def main() -> None:
        async with aio.start(database) as groups, groups.watch(on_change):
            for name in ("first", "second"):
                await groups.create(name)
                await until(lambda name=name: name in told)  # type: ignore[misc]

    with caplog.at_level(logging.ERROR, "beryl_groups"):
        asyncio.run(main())
    assert caplog.messages == [
        "The callback of a watch failed at a change of the group 'first'.",
        "The callback of a watch failed at a change of the group 'second'.",
    ]


def test_who_is_cancelled_waits_for_no_change(database: str) -> None:
    """The watch goes on: what came meanwhile is told next."""

    async def main() -> None:
        async with aio.start(database) as groups, groups.watch() as changes:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(changes)
            await groups.create("team")
            assert await take(changes) == [TEAM]

    asyncio.run(main())


def test_what_cannot_be_watched_is_refused(database: str) -> None:
    """The arguments are held to the same rules as those of the plain face."""

    async def main() -> None:
        async with aio.start(database) as groups:
            with pytest.raises(TypeError, match="on_change is a callable"):
                groups.watch(1)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="above 0"):
                groups.watch(interval=-1)
            async with groups.watch(print) as watch:
                with pytest.raises(TypeError, match="to its callback"):
                    await anext(watch)
            assert repr(watch) == f"<AsyncWatch of {str(database)!r}, ended>"
            assert repr(groups.watch()) == f"<AsyncWatch of {str(database)!r}, not begun>"

    asyncio.run(main())


def test_a_watch_that_is_never_begun_is_warned_of(database: str) -> None:
    """Nothing would be told to its callback, and nobody would know why."""

    async def main() -> None:
        async with aio.start(database) as groups:
            with pytest.warns(RuntimeWarning, match="not begun> was never awaited"):
                groups.watch(print)

    asyncio.run(main())


def test_another_event_loop_is_refused(database: str) -> None:
    """A watch belongs to the loop of its handle."""
    with asyncio.Runner() as own, asyncio.Runner() as other:

        async def start() -> AsyncGroups:
            return await aio.start(database)

        groups = own.run(start())

        async def watch() -> None:
            groups.watch()

        with pytest.raises(RuntimeError, match="belongs to the event loop"):
            other.run(watch())
        own.run(groups.close())


def test_a_watch_of_another_face_tells_the_same(database: str) -> None:
    """What a plain handle writes is told to tasks, and the other way round."""

    async def main() -> None:
        async with aio.start(database) as groups, groups.watch() as changes:
            with beryl_groups.start(database) as plain:
                plain.create("team")
                assert await take(changes) == [TEAM]

    asyncio.run(main())
