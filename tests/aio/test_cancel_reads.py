"""Reads, copies, checks, starts and broadcasts that are cancelled end, and leave nothing."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups import StartFailed, aio
from tests.aio import loops
from tests.processes import PATIENCE, in_thread, open_files, wait_until
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.aio.loops import Run


def test_a_read_is_left_at_once(path: Path, run: Run) -> None:
    """A task that is cancelled while it reads the file waits for nothing, and others read on."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("group")
            held, let_go = threading.Event(), threading.Event()

            def hold() -> None:
                with store(groups).cache._lock:
                    held.set()
                    assert let_go.wait(PATIENCE)

            holding = in_thread(hold)
            await loops.until(held.is_set)
            reading = [asyncio.create_task(groups.groups_of(f"{n}")) for n in range(10)]
            await asyncio.sleep(0.001)
            for each in reading[::2]:
                each.cancel()
            assert await loops.outcomes(*reading[::2]) == [asyncio.CancelledError] * 5
            let_go.set()
            assert await loops.outcomes(*reading[1::2]) == [None] * 5
            holding.result(PATIENCE)

    run(main())


def test_a_backup_that_is_cancelled_leaves_nothing(
    database: str, path: Path, times: Callable[[int, int], int]
) -> None:
    """Neither a copy nor a draft of it, unless the copy was whole."""
    folder = path.parent / "copies"
    folder.mkdir()
    number = times(20_000, 1_000)

    async def main() -> None:
        async with aio.start(database, synchronous="normal") as groups:
            await groups.create("group")
            await groups.add("group", *(f"{topic}:{'x' * 900}" for topic in range(number)))
            for step in range(1, 5):
                copying = groups.backup(folder / f"copy-{step}.db")
                if not await loops.cancelled_at(step, copying):
                    break
            assert step > 1
            await groups.add("group", "afterwards")

    asyncio.run(main())
    for copy in folder.iterdir():
        assert copy.name in {f"copy-{step}.db" for step in range(1, 5)}
        with beryl_groups.start(copy) as groups:
            assert len(groups.topics("group")) == number


def test_a_check_that_is_cancelled_ends(database: str, times: Callable[[int, int], int]) -> None:
    """Its task leaves at once, and the thread that searched ends soon after."""

    async def main() -> None:
        async with aio.start(database, synchronous="normal") as groups:
            await groups.create("group")
            await groups.add("group", *(f"{number}" for number in range(times(50_000, 2_000))))
            threads = threading.active_count()
            checking = asyncio.create_task(groups.check())
            await loops.until(lambda: threading.active_count() > threads or checking.done())
            checking.cancel()
            await loops.outcomes(checking)
            await loops.until(lambda: threading.active_count() <= threads)
            assert await groups.check() == []

    asyncio.run(main())


def test_a_start_that_is_cancelled_leaves_nothing_open(database: str) -> None:
    """At each of its awaits, and while another process keeps it waiting."""
    before = open_files()

    async def start() -> None:
        async with aio.start(database, busy_timeout=PATIENCE):
            pass

    async def main() -> None:
        step = 0
        while await loops.cancelled_at(step := step + 1, start()):
            pass
        assert step > 2

    asyncio.run(main())
    wait_until(lambda: open_files() == before)
    with suppress(StartFailed), beryl_groups.start(database) as groups:
        assert groups.check() == []


def test_a_broadcast_that_is_cancelled_ends(database: str, run: Run) -> None:
    """The topics that are left do not get the event, and nothing is logged as failed."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await groups.create("group")
            await groups.add("group", "a", "b", "c")
            got: list[str] = []

            async def send(topic: str, event: str, payload: object) -> None:
                got.append(topic)
                await asyncio.Event().wait()

            sending = asyncio.create_task(groups.broadcast(send, "group", "e", None))
            await loops.until(lambda: got == ["a"])
            sending.cancel()
            assert await loops.outcomes(sending) == [asyncio.CancelledError]
            assert got == ["a"]

    run(main())
