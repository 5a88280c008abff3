"""Several processes that add to one file at once, the library beside raw ``sqlite3``.

Beside the calls of a second stands how they are shared: the slowest process against the fastest,
and how long a call takes; a process that hardly gets its turn makes few of the calls, so the p99
of all of them says little of it, and the longest says more.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.contender import Ours
from tests.benchmarks.measure import groups_of_ten, interleaved
from tests.benchmarks.raw import Raw
from tests.benchmarks.table import Row
from tests.benchmarks.tail import context
from tests.benchmarks.units import Unit, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier

    from tests.benchmarks.contender import Contender
    from tests.benchmarks.measure import Bench

FORMS = {(4, 8): 2.0, (8, 1): 0.9}
"""Processes and the threads of each, and what the ratio has to be at least."""

KINDS = {kind.name: kind for kind in (Ours, Raw)}
_GROUPS = 100
_PATIENCE = 60


@dataclass
class _Shares:
    """How the calls were shared, over all rounds."""

    slowest: list[float] = field(default_factory=list)
    """The calls of the slowest process against those of the fastest, for each round."""
    seconds: list[float] = field(default_factory=list)

    def cells(self) -> str:
        took = sorted(self.seconds)
        quantiles = took[int(0.99 * len(took))], took[-1]
        cells = [shown(seconds, Unit.SECONDS) for seconds in quantiles]
        return " | ".join([f"{statistics.median(self.slowest):.2f}", *cells])


def at_once(bench: Bench) -> tuple[list[Row], str]:
    """Return a row for each form, and how the calls were shared."""
    rows = []
    lines = [
        "| work | | slowest process / fastest | p99 | longest call |",
        "|---|---|---|---|---|",
    ]
    for (processes, threads), limit in FORMS.items():
        each = "1 thread" if threads == 1 else f"{threads} threads"
        work = f"{processes} processes of {each} that `add`, on this machine's disk"
        shares = {name: _Shares() for name in KINDS}
        rounds_of = {}
        with bench.new_folder() as folder:
            for name, kind in KINDS.items():
                address = str(folder / f"{name}.db")
                with closing(kind(address)) as contender:
                    contender.fill(groups_of_ten(_GROUPS))
                seconds = bench.sizes.seconds_of_threads
                rounds_of[name] = partial(
                    _round, name, address, processes, threads, seconds, shares[name]
                )
            results = interleaved(rounds_of, bench.sizes.few_rounds)
        rows.append(Row(work, Unit.PER_SECOND, results, limit, durable=True))
        lines += [f"| {work} | {name} | {share.cells()} |" for name, share in shares.items()]
    return rows, "\n".join(lines)


def _round(
    name: str, address: str, processes: int, threads: int, seconds: float, shares: _Shares
) -> float:
    """Have the processes add for a while, and return the calls of a second."""
    barrier = context.Barrier(processes)
    with ExitStack() as stack:
        readers = []
        started = []
        for number in range(processes):
            reader, writer = context.Pipe(duplex=False)
            readers.append(stack.enter_context(reader))
            arguments = (name, address, number, threads, seconds, barrier, writer)
            process = context.Process(target=_add_for_a_while, args=arguments)
            process.start()
            started.append(process)
            writer.close()
        took = [reader.recv() for reader in readers]
        for process in started:
            process.join()
    calls = [len(each) for each in took]
    shares.slowest.append(min(calls) / max(calls))
    shares.seconds += itertools.chain.from_iterable(took)
    return sum(calls) / seconds


def _add_for_a_while(
    name: str,
    address: str,
    number: int,
    threads: int,
    seconds: float,
    barrier: Barrier,
    writer: Connection,
) -> None:
    with closing(KINDS[name](address)) as contender, writer, ThreadPoolExecutor(threads) as pool:
        all_there = threading.Barrier(threads, partial(_wait, barrier))
        places = [number * threads + thread for thread in range(threads)]
        run = partial(_seconds_of_calls, contender, all_there, seconds)
        writer.send(list(itertools.chain.from_iterable(pool.map(run, places))))


def _wait(barrier: Barrier) -> None:
    barrier.wait(_PATIENCE)


def _seconds_of_calls(
    contender: Contender, all_there: threading.Barrier, seconds: float, place: int
) -> Sequence[float]:
    """Add new topics, each its own call, and return how long each took."""
    names = itertools.cycle([name for name, _ in groups_of_ten(_GROUPS)[place:]])
    topics = map(f"new:{place}:{{:08}}".format, itertools.count(time.perf_counter_ns()))
    took = []
    clock = time.perf_counter
    all_there.wait(_PATIENCE)
    now = clock()
    end = now + seconds
    while now < end:
        begin = now
        contender.add(next(names), next(topics))
        now = clock()
        took.append(now - begin)
    return took
