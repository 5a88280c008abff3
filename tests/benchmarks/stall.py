"""How long an event loop stands still while 1,000 tasks write.

``python -m tests.benchmarks.stall`` has a task tick every millisecond, and measures by how much
its longest tick was late: on a loop that is idle otherwise, beside 1,000 tasks that write nothing,
beside 1,000 tasks that write through ``beryl_groups.aio``, and beside the same writes through a
plain handle, which waits for each commit on the loop. All in turn, in rounds. Beside the longest
stall stands how long the thread of the loop computed at the most from one tick to the next: other
programs on the machine lengthen the former and not the latter.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups import aio
from tests.benchmarks.units import Unit, shown
from tests.sqlite.wal import commits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_TICK = 0.001
_IDLE_SECONDS = 0.25


@dataclass
class Beside:
    """What the loop does beside the ticks, and what came of it in each round."""

    work: Callable[[Path, int], Awaitable[int | None]]
    stalls: list[float] = field(default_factory=list)
    computing: list[float] = field(default_factory=list)
    commits: list[int | None] = field(default_factory=list)

    async def measure(self, path: Path, tasks: int) -> None:
        longest = [0.0, 0.0]
        ticking = asyncio.create_task(_tick(longest))
        await asyncio.sleep(10 * _TICK)
        longest[:] = 0.0, 0.0
        self.commits.append(await self.work(path, tasks))
        await asyncio.sleep(2 * _TICK)  # the tick that is late by now counts as well
        self.stalls.append(longest[0])
        self.computing.append(longest[1])
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking


async def _tick(longest: list[float]) -> None:
    while True:
        due, computed = time.perf_counter() + _TICK, time.thread_time()
        await asyncio.sleep(_TICK)
        longest[0] = max(longest[0], time.perf_counter() - due)
        longest[1] = max(longest[1], time.thread_time() - computed)


async def nothing(_path: Path, _tasks: int) -> None:
    await asyncio.sleep(_IDLE_SECONDS)


async def idle_tasks(_path: Path, tasks: int) -> None:
    async def wait() -> None:
        await asyncio.sleep(_IDLE_SECONDS)

    await asyncio.gather(*(wait() for _ in range(tasks)))


async def async_writes(path: Path, tasks: int) -> int:
    async with aio.start(path) as groups:
        await groups.create("team")
        before = commits(path)
        await asyncio.gather(*(groups.add("team", f"topic:{n}") for n in range(tasks)))
        shared = commits(path) - before
        assert len(await groups.topics("team")) == tasks
    return shared


async def writes_on_the_loop(path: Path, tasks: int) -> None:
    with beryl_groups.start(path) as groups:
        groups.create("team")

        async def add(number: int) -> None:
            groups.add("team", f"topic:{number}")
            await asyncio.sleep(0)

        await asyncio.gather(*(add(number) for number in range(tasks)))


def main(words: list[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stall", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--folder", type=Path, help="where the files are, else for temporary files")
    parser.add_argument("--uvloop", action="store_true", help="run on the loop of uvloop")
    given = parser.parse_args(words)
    factory = None
    if given.uvloop:
        import uvloop  # not there on Windows

        factory = uvloop.new_event_loop
    beside = {
        "nothing": Beside(nothing),
        f"{given.tasks:,} tasks that sleep": Beside(idle_tasks),
        f"{given.tasks:,} tasks that `add`": Beside(async_writes),
        "the same on a plain handle": Beside(writes_on_the_loop),
    }
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for number in range(given.rounds):
            for position, each in enumerate(beside.values()):
                path = Path(folder) / f"{number}-{position}.db"
                with asyncio.Runner(loop_factory=factory) as runner:
                    runner.run(each.measure(path, given.tasks))
    print("| beside the ticking task | longest stall | in the worst round | computing | commits |")
    print("|---|---|---|---|---|")
    for name, each in beside.items():
        most = max((number for number in each.commits if number is not None), default="")
        cells = [
            statistics.median(each.stalls),
            max(each.stalls),
            statistics.median(each.computing),
        ]
        times = " | ".join(shown(cell, Unit.SECONDS) for cell in cells)
        print(f"| {name} | {times} | {most} |")


if __name__ == "__main__":
    main()
