"""Ours on PostgreSQL beside raw psycopg: ``python -m tests.benchmarks.postgresql``.

Raw is what a careful hand writes. Both use one server, which this starts with the settings that it
comes with (each commit is synced), and in it the same tables. Then once more through a proxy that
delays each message by 1 ms, as a network does: how many round trips a call takes can be read there.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

import beryl_groups
from tests.benchmarks.measure import groups_of_ten, interleaved
from tests.benchmarks.units import Unit, shown
from tests.postgresql.far import far_from
from tests.postgresql.server import running, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from beryl_groups import Groups

_GROUPS = 2000
_CONNECTIONS = 32  # one for each thread
_DELAY = 0.001

_TOPICS = (
    "SELECT t.topic FROM beryl_groups.groups g "
    "LEFT JOIN beryl_groups.group_topics t ON t.group_id = g.id WHERE g.name = %s"
)
_ADD = (
    "INSERT INTO beryl_groups.group_topics (group_id, topic) "
    "SELECT id, %s FROM beryl_groups.groups WHERE name = %s ON CONFLICT DO NOTHING"
)
_ADD_MANY = (
    "INSERT INTO beryl_groups.group_topics (group_id, topic) "
    "SELECT id, t FROM beryl_groups.groups, unnest(%s::text[]) t WHERE name = %s "
    "ON CONFLICT DO NOTHING"
)


class Raw:
    """A connection in autocommit for each thread that asks for one, and no promise but SQL's."""

    def __init__(self, url: str) -> None:
        address = url.replace("+psycopg", "")
        self._links = [psycopg.connect(address, autocommit=True) for _ in range(_CONNECTIONS)]
        self._free = list(self._links)
        self._waiting = threading.Semaphore(_CONNECTIONS)

    @contextmanager
    def _link(self) -> Iterator[psycopg.Connection[Any]]:
        with self._waiting:
            link = self._free.pop()
            try:
                yield link
            finally:
                self._free.append(link)

    def topics(self, name: str) -> frozenset[str]:
        with self._link() as link:
            rows = link.execute(_TOPICS, (name,)).fetchall()
        if not rows:
            raise KeyError(name)
        return frozenset([topic for (topic,) in rows if topic is not None])

    def add(self, name: str, *topics: str) -> None:
        with self._link() as link:
            if len(topics) == 1:
                link.execute(_ADD, (topics[0], name))
            else:
                link.execute(_ADD_MANY, (list(topics), name))

    def close(self) -> None:
        for link in self._links:
            link.close()


class Sizes(NamedTuple):
    """How much of each work is done."""

    rounds: int
    few_rounds: int
    calls: int
    topics: int
    threads: int
    seconds: float


LONG = Sizes(31, 7, 100, 200_000, 32, 1.0)
SHORT = Sizes(1, 1, 5, 2_000, 4, 0.05)


class Row(NamedTuple):
    """One kind of work, and how both did."""

    work: str
    unit: Unit
    ours: float
    raw: float
    limit: float

    def line(self, *, judged: bool) -> str:
        more_is_better = self.unit is Unit.PER_SECOND
        ratio = self.ours / self.raw
        held = ratio >= self.limit if more_is_better else ratio <= self.limit
        verdict = "" if not judged else "held" if held else "**missed**"
        limit = f"at {'least' if more_is_better else 'most'} {self.limit:g}"
        figures = (shown(self.ours, self.unit), shown(self.raw, self.unit))
        return f"| {self.work} | {' | '.join(figures)} | {ratio:.3g} | {limit} | {verdict} |"


def _each(call: Callable[[str], object], names: Sequence[str]) -> float:
    begin = time.perf_counter()
    for name in names:
        call(name)
    return (time.perf_counter() - begin) / len(names)


@contextmanager
def _on_one_processor(url: str) -> Iterator[None]:
    """Have both, and what serves them, on one processor, where the system lets one say so.

    Between two of them an answer is under way for longer than a read takes, and who gets which is
    chance: one of two connections was four times as fast as the other, and stayed so.
    """
    if sys.platform == "win32" or sys.platform == "darwin":
        yield
        return
    backends = sql(url, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
    processors = os.sched_getaffinity(0)

    def use(these: set[int]) -> None:
        for process in (0, *[pid for (pid,) in backends]):
            with suppress(OSError):  # one of them has ended, or is another user's
                os.sched_setaffinity(process, these)

    use({min(processors)})
    try:
        yield
    finally:
        use(processors)


_fresh = map("new:{:09}".format, itertools.count())


def _rows(url: str, ours: Groups, raw: Raw, sizes: Sizes) -> Iterator[Row]:
    names = [name for name, _ in groups_of_ten(_GROUPS)][: sizes.calls]
    both: dict[str, Any] = {"ours": ours, "raw": raw}

    def measured(work: Callable[[Any], float], rounds: int) -> tuple[float, float]:
        found = interleaved({name: partial(work, each) for name, each in both.items()}, rounds)
        return found["ours"], found["raw"]

    def read(groups: Any) -> float:
        return _each(groups.topics, names)

    def add(groups: Any) -> float:
        return _each(lambda name: groups.add(name, next(_fresh)), names)

    def fill(groups: Any) -> float:
        name = f"large:{next(_fresh)}"
        ours.create(name)
        topics = [f"room:{number:06}" for number in range(sizes.topics)]
        begin = time.perf_counter()
        groups.add(name, *topics)
        seconds = time.perf_counter() - begin
        ours.delete(name)
        return seconds

    def at_once(groups: Any) -> float:
        return _calls_per_second(groups, sizes)

    with _on_one_processor(url):
        reads, adds = measured(read, sizes.rounds), measured(add, sizes.rounds)
    yield Row("`topics` of 10", Unit.SECONDS, *reads, 1.3)
    yield Row("one durable `add`", Unit.SECONDS, *adds, 1.3)
    work = f"one `add` of {sizes.topics:,} topics"
    yield Row(work, Unit.SECONDS, *measured(fill, sizes.few_rounds), 1.2)
    work = f"{sizes.threads} threads that `add`"
    yield Row(work, Unit.PER_SECOND, *measured(at_once, sizes.rounds // 2 + 1), 1.0)


def _calls_per_second(groups: Any, sizes: Sizes) -> float:
    names = [name for name, _ in groups_of_ten(_GROUPS)]
    all_there = threading.Barrier(sizes.threads + 1)

    def add(thread: int) -> int:
        mine = itertools.cycle(names[thread:])
        all_there.wait()
        end = time.perf_counter() + sizes.seconds
        calls = 0
        while time.perf_counter() < end:
            groups.add(next(mine), next(_fresh))
            calls += 1
        return calls

    with ThreadPoolExecutor(sizes.threads) as pool:
        started = [pool.submit(add, thread) for thread in range(sizes.threads)]
        all_there.wait()
        begin = time.perf_counter()
        calls = sum(each.result() for each in started)
        return calls / (time.perf_counter() - begin)


def _rename_there_and_back(groups: Groups) -> None:
    groups.rename("ten", "eleven")
    groups.rename("eleven", "ten")


def _transact(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.add("far", next(_fresh))


FAR: dict[str, Callable[[Groups], object]] = {
    "`topics`": lambda groups: groups.topics("far"),
    "`groups_of`": lambda groups: groups.groups_of("a"),
    "`list_groups`": lambda groups: groups.list_groups(limit=10),
    "`name in groups`": lambda groups: "far" in groups,
    "`create`": lambda groups: groups.create(next(_fresh)),
    "`add` of one": lambda groups: groups.add("far", next(_fresh)),
    "`add` of ten": lambda groups: groups.add("far", *itertools.islice(_fresh, 10)),
    "`remove`": lambda groups: groups.remove("far", next(_fresh)),
    "`set_topics` to ten": lambda groups: groups.set_topics("ten", itertools.islice(_fresh, 10)),
    "two `rename`, there and back": _rename_there_and_back,
    "`transaction()` with one `add`": _transact,
}


def _far(url: str, sizes: Sizes) -> Iterator[str]:
    """Tell what each call takes through a proxy, and how many round trips that is."""
    with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as link:
        trip = _median(lambda: link.execute("SELECT 1"), sizes)
    with beryl_groups.start(url) as groups:
        for name in ("far", "ten"):
            groups.create(name, exist_ok=True)
        for work, call in FAR.items():
            seconds = _median(lambda call=call: call(groups), sizes)  # type: ignore[misc]
            yield f"| {work} | {shown(seconds, Unit.SECONDS)} | {seconds / trip:.1f} |"
    yield f"| `SELECT 1` of raw psycopg | {shown(trip, Unit.SECONDS)} | 1.0 |"


def _median(call: Callable[[], object], sizes: Sizes) -> float:
    def once() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    once()
    return statistics.median(once() for _ in range(sizes.calls))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.postgresql")
    parser.add_argument("--short", action="store_true", help="do little, to see that it works")
    sizes = SHORT if (given := parser.parse_args()).short else LONG
    with running() as server:
        url = server.url()
        with beryl_groups.start(url) as ours, closing(Raw(url)) as raw:
            with ours.transaction() as transaction:
                for name, topics in groups_of_ten(_GROUPS):
                    transaction.add(name, *topics, create=True)
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as link:
                ((version,),) = link.execute("SHOW server_version").fetchall()
                link.execute("VACUUM ANALYZE")
            print(f"Python {platform.python_version()}, PostgreSQL {version}.\n")
            print("| work | beryl_groups | psycopg | ratio | limit | |", "|---" * 6 + "|", sep="\n")
            for row in _rows(url, ours, raw, sizes):
                print(row.line(judged=not given.short), flush=True)
        # Round trips are what counts here, and not the disk.
        sql(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        print("\nAcross a network with a delay of 1 ms there and 1 ms back:\n")
        print("| call | takes | round trips |", "|---" * 3 + "|", sep="\n")
        with far_from(server.port, _DELAY) as port:
            for line in _far(url.replace(f":{server.port}/", f":{port}/"), sizes):
                print(line, flush=True)


if __name__ == "__main__":
    main()
