"""``python -m tests.torture.starvation``: a lone writer beside greedy ones.

Greedy writers of another process write without a pause, in several ways. The lone writer must
have its turn within ``busy_timeout``, at each of its calls. It takes 4 seconds, or 5 minutes with
``--long``, half of these with a sync of the greedy ones that takes 10 ms longer, as on an SD card.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Busy
from beryl_groups.sqlite.turns import FileTurns
from tests import processes
from tests.benchmarks.threads import build_shim, cannot_slow_down
from tests.processes import PATIENCE
from tests.torture.command import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Event

    from beryl_groups import Groups
    from beryl_groups.sqlite import driver

_BUSY_TIMEOUT = 5.0  # the default


def add(groups: Groups, topic: str) -> None:
    groups.add("greedy", topic)


def transact(groups: Groups, topic: str, seconds: float = 0) -> None:
    with groups.transaction() as transaction:
        transaction.add("greedy", topic)
        time.sleep(seconds)


@dataclass(frozen=True)
class Greed:
    """Those who write without a pause."""

    call: Callable[[Groups, str], None]
    threads: int = 1
    handles: int = 1


GREEDS = {
    "1 thread that adds": Greed(add),
    "4 threads that add": Greed(add, threads=4),
    "4 handles that add": Greed(add, threads=4, handles=4),
    "4 threads of transactions": Greed(transact, threads=4),
    "1 thread of transactions of 50 ms": Greed(partial(transact, seconds=0.05)),
    "4 threads of transactions of 50 ms": Greed(partial(transact, seconds=0.05), threads=4),
}


def waits_as_sqlite_does() -> None:
    """A writer has SQLite wait for others, and keeps off the file for nobody."""

    def begin(self: FileTurns, connection: driver.Connection, deadline: float) -> None:
        milliseconds = max(round((deadline - time.monotonic()) * 1000), 0)
        connection.execute(f"PRAGMA busy_timeout = {milliseconds}").fetchall()
        connection.execute("BEGIN IMMEDIATE")

    FileTurns.begin = begin  # type: ignore[method-assign]


BROKEN = {"waits_as_sqlite_does": waits_as_sqlite_does}


@dataclass
class Figures:
    """What came of it."""

    waits: list[float] = field(default_factory=list)
    timeouts: int = 0

    def __str__(self) -> str:
        return (
            f"{len(self.waits):,} calls beside greedy writers, the longest took "
            f"{max(self.waits) * 1000:,.0f} ms, {self.timeouts:,} timeouts"
        )


def write_greedily(path: Path, greed: Greed, broken: str | None, began: Event, end: Event) -> None:
    """Be the process that leaves no pause."""
    if broken is not None:
        BROKEN[broken]()

    def write(groups: Groups, thread: int) -> None:
        for number in itertools.count():
            if end.is_set():
                return
            greed.call(groups, f"{thread}:{number}")
            began.set()

    with ExitStack() as stack:
        handles = [
            stack.enter_context(beryl_groups.start(path, busy_timeout=PATIENCE))
            for _ in range(greed.handles)
        ]
        writers = [
            processes.in_thread(partial(write, handles[thread % greed.handles], thread))
            for thread in range(greed.threads)
        ]
        for each in writers:
            each.result()


def start(shim: Path | None, *arguments: object) -> BaseProcess:
    """Start the greedy process, with slow storage if there is a shim for it."""
    if shim is None:
        return processes.start(write_greedily, *arguments)
    process = multiprocessing.get_context("spawn").Process(
        target=write_greedily, args=arguments, daemon=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(shim))
        process.start()
    return process


def write_beside(
    greed: Greed,
    seconds: float,
    choice: random.Random,
    *,
    busy_timeout: float = _BUSY_TIMEOUT,
    broken: str | None = None,
    shim: Path | None = None,
) -> Figures:
    """Write now and then beside greedy writers."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "groups.db"
        began, end = processes.context.Event(), processes.context.Event()
        with beryl_groups.start(path, busy_timeout=busy_timeout) as groups:
            groups.create("greedy")
            groups.create("lone")
            process = start(shim, path, greed, broken, began, end)
            assert began.wait(PATIENCE)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                begin = time.monotonic()
                try:
                    groups.add("lone", f"{begin}")
                except Busy:
                    figures.timeouts += 1
                figures.waits.append(time.monotonic() - begin)
                time.sleep(choice.random() / 50)
            end.set()
            processes.finish(process)
    return figures


def main(words: list[str] | None = None) -> int:
    """Write beside all kinds of greed, print what came of it, and return the exit code."""
    arguments = parse("starvation", __doc__, words, BROKEN)
    if arguments.broken is not None:
        BROKEN[arguments.broken]()
    choice = random.Random(arguments.seed)
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        shims: list[Path | None] = [None]
        if arguments.long and cannot_slow_down() is None:
            shims.append(build_shim(Path(folder)))
        for shim, (name, greed) in itertools.product(shims, GREEDS.items()):
            seconds = 25 if arguments.long else 0.5
            found = write_beside(greed, seconds, choice, broken=arguments.broken, shim=shim)
            print(f"{name}, {'this disk' if shim is None else 'slow storage'}: {found}", flush=True)
            figures.waits += found.waits
            figures.timeouts += found.timeouts
    print(figures)
    return 1 if figures.timeouts else 0


if __name__ == "__main__":
    sys.exit(main())
