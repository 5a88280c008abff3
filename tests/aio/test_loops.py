"""Event loops: on which a handle works, and what never keeps them waiting."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Closed, aio, sqlite
from tests.aio import loops
from tests.processes import PATIENCE, in_thread, together
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups
    from tests.aio.loops import Run


def test_without_an_event_loop_of_asyncio_a_sentence_says_so(path: Path) -> None:
    """Driven by something else, as trio does, it raises RuntimeError and opens nothing."""
    with pytest.raises(RuntimeError, match="No event loop of asyncio runs here"):
        aio.start(path).__await__().send(None)
    assert not path.exists()


def test_another_event_loop_is_refused(path: Path) -> None:
    """Every call from another loop raises RuntimeError, and close() works there."""
    with asyncio.Runner() as own, asyncio.Runner() as other:

        async def start() -> AsyncGroups:
            return await aio.start(path)

        groups = own.run(start())
        own.run(groups.create("team"))
        own.run(groups.topics("team"))

        async def enter() -> None:
            async with groups.transaction():
                pytest.fail("it was entered")

        calls: list[Callable[[], Any]] = [
            lambda: groups.create("a"),
            lambda: groups.topics("team"),
            lambda: groups.broadcast(print, "team", "e", None),
            lambda: groups.backup(path.with_name("copy.db")),
            groups.check,
            enter,
        ]
        for call in calls:
            with pytest.raises(RuntimeError, match="belongs to the event loop"):
                other.run(call())
        own.run(groups.create("b"))
        other.run(groups.close())
        with pytest.raises(Closed):
            own.run(groups.create("c"))
    with beryl_groups.start(path) as plain:
        assert plain.list_groups() == ["b", "team"]


def test_loops_of_several_threads_have_a_handle_each(path: Path) -> None:
    """Handles on one file, each on the loop of its thread, see what the others write."""

    async def main(worker: int) -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            calls = (groups.create(f"{worker}:{number}") for number in range(50))
            await asyncio.gather(*calls)

    together(*(partial(asyncio.run, main(worker)) for worker in range(4)))
    with beryl_groups.start(path) as plain:
        assert len(plain) == 200


def test_a_read_from_memory_stays_in_the_thread_of_the_loop(path: Path, run: Run) -> None:
    """A read that repeats needs no other thread, and no turn of the loop."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("team")
            first = await groups.topics("team")
            read = groups.topics("team")
            with pytest.raises(StopIteration) as end:
                read.send(None)  # the first step of the coroutine is its last
            assert end.value.value is first

    run(main())


def test_what_others_change_is_seen_at_the_next_read(path: Path) -> None:
    """An edit beside the handle shows at once, though the answer was in memory."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("team")
            assert await groups.topics("team") == frozenset()
            with beryl_groups.start(path) as other:
                for number in range(20):
                    other.set_topics("team", [f"{number}"])
                    assert await groups.topics("team") == {f"{number}"}

    asyncio.run(main())


def test_a_read_does_not_wait_where_a_thread_is_at_work_in_the_cache(path: Path) -> None:
    """While another thread holds the cache, a read of what is in memory leaves the loop free."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("team")
            await groups.topics("team")
            held, let_go = threading.Event(), threading.Event()

            def hold() -> None:
                with store(groups).cache._lock:
                    held.set()
                    assert let_go.wait(PATIENCE)

            holding = in_thread(hold)
            await loops.until(held.is_set)
            reading = asyncio.create_task(groups.topics("team"))
            for _ in range(3):
                await asyncio.sleep(0.001)
            assert not reading.done()
            let_go.set()
            assert await reading == frozenset()
            holding.result(PATIENCE)

    asyncio.run(main())


def test_the_loop_goes_on_while_another_writer_holds_the_file(path: Path, run: Run) -> None:
    """A write that waits for another process keeps no other task waiting."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            await groups.create("team")
            with closing(sqlite.driver.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                writing = asyncio.create_task(groups.add("team", "a"))
                await loops.until(lambda: loops.carried_out(groups))
                assert await groups.topics("team") == frozenset()
                assert await groups.count() == 1
                assert not writing.done()
                other.execute("COMMIT")
            await writing
            assert await groups.topics("team") == {"a"}

    run(main())


def test_the_loop_goes_on_while_a_start_waits(path: Path, run: Run) -> None:
    """A start that waits for another process to let go of the file keeps no task waiting."""

    async def main() -> None:
        with closing(sqlite.driver.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")

            async def start() -> list[str]:
                async with aio.start(path, busy_timeout=PATIENCE) as groups:
                    return await groups.list_groups()

            starting = asyncio.create_task(start())
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not starting.done()
            other.execute("COMMIT")
        assert await starting == []

    run(main())
