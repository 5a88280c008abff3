"""The slowest of the reads while others write: 4 threads of this process, and another process.

What a read is made of is measured beside it, in turn and in the same situation: nothing at all,
a system call that gives up the interpreter's lock and takes it back, and ``PRAGMA data_version``
alone. Reads follow one another at once, as in the other rows; beside it stand reads with a pause
before each, in which others have more time to commit.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beryl_groups.sqlite import driver
from tests.benchmarks import contenders
from tests.benchmarks.contender import Ours
from tests.benchmarks.measure import groups_of_ten
from tests.benchmarks.table import Row
from tests.benchmarks.units import Unit, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from tests.benchmarks.contender import Contender, Kind
    from tests.benchmarks.measure import Bench

# A process starts in milliseconds from a server that has imported all that is compared.
if sys.platform == "win32":
    context = multiprocessing.get_context("spawn")
else:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([contenders.__name__])

_WRITERS = 4
_GROUPS = 100
_GROUPS_READ = 10
_SECONDS_OF_A_TURN = 0.1


@dataclass
class Probe:
    """A call, and how long each of its calls took."""

    call: Callable[[str], object]
    pause: float = 0
    seconds: list[float] = field(default_factory=list)

    def run(self, names: list[str], seconds: float) -> None:
        clock = time.perf_counter
        end = clock() + seconds
        for name in itertools.cycle(names):
            if self.pause:
                time.sleep(self.pause)
            begin = clock()
            self.call(name)
            now = clock()
            self.seconds.append(now - begin)
            if now >= end:
                return

    def quantile(self, share: float) -> float:
        return sorted(self.seconds)[int(share * len(self.seconds))]


class _Reader:
    """Reads, and counts the answers that came from memory: they are the same object again."""

    def __init__(self, topics: Callable[[str], frozenset[str]]) -> None:
        self._topics = topics
        self._last: dict[str, frozenset[str]] = {}
        self.calls = self.remembered = 0

    def read(self, name: str) -> None:
        found = self._topics(name)
        self.calls += 1
        self.remembered += found is self._last.get(name)
        self._last[name] = found


def slowest_reads(bench: Bench) -> tuple[Row, str]:
    """Return the row, and what the time of our reads is made of."""
    results = {}
    parts = ""
    for kind in bench.kinds:
        if not kind.several_processes:
            continue
        with ExitStack() as stack:
            address = stack.enter_context(kind.served(stack.enter_context(bench.new_folder())))
            contender = stack.enter_context(closing(kind(address)))
            contender.fill(groups_of_ten(_GROUPS))
            if kind.name == Ours.name:
                results[kind.name], parts = _ours(contender, kind, address, bench)
            else:
                (read,) = _in_turn([Probe(contender.topics)], contender, kind, address, bench)
                results[kind.name] = read.quantile(0.99)
    work = "p99 of a cached read while 4 threads write and another process writes"
    return Row(work, Unit.SECONDS, results, 0.005, against=None), parts


def _ours(contender: Contender, kind: Kind, address: str, bench: Bench) -> tuple[float, str]:
    with closing(driver.connect(address, isolation_level=None)) as connection:
        reader = _Reader(contender.topics)
        probes = {
            "`topics`": Probe(contender.topics),
            "`topics` with a pause of 1 ms before": Probe(reader.read, pause=0.001),
            "`PRAGMA data_version` alone": Probe(
                lambda _: connection.execute("PRAGMA data_version").fetchone()
            ),
            "giving up the GIL and taking it back (`os.stat`)": Probe(
                lambda _: os.stat(address)  # noqa: PTH116
            ),
            "nothing": Probe(lambda _: None),
        }
        _in_turn(list(probes.values()), contender, kind, address, bench)
    lines = ["| in the same situation | median | p99 | p99.9 |", "|---|---|---|---|"]
    for name, probe in probes.items():
        cells = [shown(probe.quantile(share), Unit.SECONDS) for share in (0.5, 0.99, 0.999)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    share = reader.remembered / reader.calls
    lines += ["", f"Of the reads with a pause, {share:.0%} were answered from memory."]
    return probes["`topics`"].quantile(0.99), "\n".join(lines)


def _in_turn(
    probes: list[Probe], contender: Contender, kind: Kind, address: str, bench: Bench
) -> list[Probe]:
    seconds = bench.sizes.seconds_of_reading
    names = [name for name, _ in groups_of_ten(_GROUPS_READ)]
    with _written_to(contender, kind, address):
        turns = max(1, round(seconds / _SECONDS_OF_A_TURN))
        for probe in probes * turns:
            probe.run(names, min(seconds, _SECONDS_OF_A_TURN))
    return probes


@contextmanager
def _written_to(contender: Contender, kind: Kind, address: str) -> Iterator[None]:
    """Have the file written to by threads of this process and by another process."""
    over = threading.Event()
    threads = [
        threading.Thread(target=_write, args=(contender, f"thread {number}", over))
        for number in range(_WRITERS)
    ]
    ours, theirs = context.Pipe()
    process = context.Process(target=_write_in_a_process, args=(kind.name, address, theirs))
    process.start()
    theirs.close()
    with ours:
        ours.recv()  # it writes from here on
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
    process.join()


def _write(contender: Contender, writer: str, over: threading.Event) -> None:
    """Add topics to groups that are not read, until it is over."""
    names = itertools.cycle([name for name, _ in groups_of_ten(_GROUPS)[_GROUPS_READ:]])
    for number in itertools.count():
        if over.is_set():
            return
        contender.add(next(names), f"{writer}: {number}")


def _write_in_a_process(name: str, address: str, starter: Connection) -> None:
    """Write until whoever started this hangs up."""
    kind = next(kind for kind in contenders.KINDS if kind.name == name)
    over = threading.Event()
    with closing(kind(address)) as contender, closing(starter):
        thread = threading.Thread(target=_write, args=(contender, "process", over))
        thread.start()
        starter.send("ready")
        with suppress(EOFError):
            starter.recv()
        over.set()
        thread.join()
