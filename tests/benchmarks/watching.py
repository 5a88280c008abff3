"""What it costs to watch, and how soon a change is told.

``python -m tests.benchmarks.watching`` has another process write, and measures the time from the
end of each call to the callback: of a watch, of a loop that reads all groups every 50 ms and
compares them, and of one that does so when ``watchfiles`` tells of the WAL. Then it measures what a
watch takes of a processor while nothing happens, writes beside ten watches, and looks at databases
of several sizes.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import beryl_groups
from tests.benchmarks.measure import groups_of_ten, interleaved
from tests.benchmarks.tail import context
from tests.benchmarks.units import Unit, shown
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from beryl_groups import Change, Groups

    Told = Callable[[str], None]

_GROUPS = 100
_EVERY = 0.05
_MARK = "mark "


@contextmanager
def watch(path: Path, told: Told) -> Iterator[None]:
    def on_change(change: Change) -> None:
        for topic in change.topics:
            told(topic)

    with beryl_groups.start(path) as groups, groups.watch(on_change):
        yield


@contextmanager
def poll_and_compare(path: Path, told: Told) -> Iterator[None]:
    def ticks(over: threading.Event) -> Iterator[object]:
        while not over.wait(_EVERY):
            yield None

    with _comparing(path, told, ticks):
        yield


@contextmanager
def watchfiles(path: Path, told: Told) -> Iterator[None]:
    from watchfiles import watch as watch_files

    def changes(over: threading.Event) -> Iterator[object]:
        found: Iterator[object] = watch_files(path.parent, debounce=50, step=10, stop_event=over)
        return found

    with _comparing(path, told, changes):
        yield


@contextmanager
def _comparing(
    path: Path, told: Told, changes: Callable[[threading.Event], Iterator[object]]
) -> Iterator[None]:
    """Do by hand what a watch does: read all there is, and tell of the topics that came."""
    over = threading.Event()
    with beryl_groups.start(path) as groups:
        seen = {name: groups.topics(name) for name in groups}

        def look() -> None:
            nonlocal seen
            for _ in changes(over):
                if over.is_set():
                    return
                found = {name: groups.topics(name) for name in groups}
                for name, topics in found.items():
                    for topic in topics - seen.get(name, frozenset()):
                        told(topic)
                seen = found

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


WAYS = {"watch": watch, "poll and compare": poll_and_compare, "watchfiles": watchfiles}


def _write(path: Path, times: int, threads: int, pipe: Connection) -> None:
    """Add a mark now and then, beside threads that write all the time; tell when each was added."""
    over = threading.Event()
    with beryl_groups.start(path) as groups:

        def write(number: int) -> None:
            while not over.is_set():
                groups.set_topics(f"team:{number:06}", map(str, range(10)))
                groups.set_topics(f"team:{number:06}", map(str, range(5, 15)))

        beside = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
        for each in beside:
            each.start()
        added = {}
        for number in range(times):
            time.sleep(_EVERY * (1 + number % 7 / 7))  # in no step with those who look
            groups.add("marks", f"{_MARK}{number}")
            added[f"{_MARK}{number}"] = time.monotonic()
        time.sleep(10 * _EVERY)
        over.set()
        for each in beside:
            each.join()
    pipe.send(added)


def latencies(folder: Path, way: str, times: int, threads: int) -> list[float]:
    """Return how many seconds it took until each mark was told."""
    path = filled(folder / f"{way}-{threads}" / "groups.db", _GROUPS)
    told: dict[str, float] = {}

    def note(topic: str) -> None:
        if topic.startswith(_MARK):
            told.setdefault(topic, time.monotonic())

    reader, writer = context.Pipe(duplex=False)
    with WAYS[way](path, note):
        process = context.Process(target=_write, args=(path, times, threads, writer))
        process.start()
        added = reader.recv()
        process.join()
    return sorted(max(told.get(mark, float("inf")) - when, 0) for mark, when in added.items())


def filled(path: Path, groups: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    with beryl_groups.start(path) as handle, handle.transaction() as transaction:
        transaction.create("marks")
        for name, topics in groups_of_ten(groups):
            transaction.create(name)
            transaction.set_topics(name, topics)
    return path


def idle(folder: Path, way: str, seconds: float) -> float:
    """Return what it takes of a processor to wait for changes while nothing happens."""
    path = filled(folder / f"{way}-idle" / "groups.db", _GROUPS)
    with WAYS[way](path, lambda topic: None):
        time.sleep(0.1)
        before = time.process_time()
        time.sleep(seconds)
        return (time.process_time() - before) / seconds


def beside_watches(folder: Path, rounds: int, adds: int) -> Iterator[tuple[str, float, float]]:
    """Give how long a durable `add`, and a large one, take without watches and beside ten."""
    with ExitStack() as stack:
        calls: dict[str, Callable[[], float]] = {}
        for watches in (0, 10):
            path = filled(folder / f"beside-{watches}" / "groups.db", _GROUPS)
            groups = stack.enter_context(beryl_groups.start(path))
            for _ in range(watches):
                groups.watch(lambda change: None)
            calls[f"one durable `add` {watches}"] = partial(_add, groups, adds, 1)
            calls[f"one `add` of 10,000 topics {watches}"] = partial(_add, groups, 1, 10_000)
        found = interleaved(calls, rounds)
    for work in ("one durable `add`", "one `add` of 10,000 topics"):
        yield work, found[f"{work} 0"], found[f"{work} 10"]


_numbers = itertools.count()


def _add(groups: Groups, times: int, topics: int) -> float:
    took = []
    for _ in range(times):
        names = [f"topic {next(_numbers)}" for _ in range(topics)]
        begin = time.perf_counter()
        groups.add("marks", *names)
        took.append(time.perf_counter() - begin)
    groups.set_topics("marks", [])
    time.sleep(_EVERY)  # what has been added is not to be told during what comes next
    return statistics.median(took)


def looks(folder: Path, memberships: int, rounds: int) -> tuple[float, float, int]:
    """Return how long it takes to begin, and to find a change, and the bytes that are kept."""
    path = filled(folder / f"{memberships}" / "groups.db", memberships // 10)
    with beryl_groups.start(path) as groups, beryl_groups.start(path) as others:
        began, found = [], []
        for number in range(rounds):
            engine = store(groups).watching()
            begin = time.perf_counter()
            engine.look({("", None)})
            began.append(time.perf_counter() - begin)
            others.add("marks", str(number))
            begin = time.perf_counter()
            assert engine.look({("", None)}).deltas
            found.append(time.perf_counter() - begin)
            connection = engine._connection
            assert connection is not None
            ((pages,),) = connection.execute("PRAGMA seen.page_count")
            ((size,),) = connection.execute("PRAGMA seen.page_size")
            engine.close()
    return statistics.median(began), statistics.median(found), pages * size


def main(words: list[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.watching", description=__doc__
    )
    parser.add_argument("--short", action="store_true", help="only to see that it runs")
    parser.add_argument("--folder", type=Path, help="where the files are, else for temporary files")
    given = parser.parse_args(words)
    seconds = partial(shown, unit=Unit.SECONDS)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        print("| told of another process | idle: median | p99 | busy: median | p99 | processor |")
        print("|---|---|---|---|---|---|")
        for way in WAYS:
            with suppress(ImportError):  # without watchfiles
                cells = []
                for threads in (0, 4):
                    took = latencies(folder, way, 5 if given.short else 200, threads)
                    cells += [statistics.median(took), took[int(0.99 * len(took))]]
                share = idle(folder, way, 0.2 if given.short else 10)
                print(f"| {way} | {' | '.join(map(seconds, cells))} | {share:.2%} |")
        print()
        print("| work | without a watch | beside ten watches | ratio |")
        print("|---|---|---|---|")
        rounds, adds = (1, 3) if given.short else (101, 20)
        for work, alone, beside in beside_watches(folder, rounds, adds):
            print(f"| {work} | {seconds(alone)} | {seconds(beside)} | {beside / alone:.3f} |")
        print("\n| memberships | to begin | to find a change | kept in memory |")
        print("|---|---|---|---|")
        for memberships in (100, 1000) if given.short else [10**n for n in range(2, 7)]:
            began, found, size = looks(folder, memberships, 1 if given.short else 5)
            times = f"{seconds(began)} | {seconds(found)}"
            print(f"| {memberships:,} | {times} | {shown(size, Unit.BYTES)} |")


if __name__ == "__main__":
    main()
