"""Writes of one thread, and what they leave on the disk."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.measure import TOPICS_OF_A_GROUP, groups_of_ten, interleaved
from tests.benchmarks.table import Row
from tests.benchmarks.units import Unit

if TYPE_CHECKING:
    from tests.benchmarks.contender import Contender, Kind
    from tests.benchmarks.measure import Bench


def one_add(bench: Bench) -> Row:
    content = groups_of_ten(100)
    names = [name for name, _ in content]
    with bench.filled(content) as contenders:
        rounds_of = {
            name: _Adder(contender, names, bench.sizes.adds).add
            for name, contender in contenders.items()
        }
        # A sync is slower while a WAL or a journal grows to the size that it then keeps.
        for _ in range(bench.sizes.rounds):
            for add in rounds_of.values():
                add()
        results = interleaved(rounds_of, bench.sizes.rounds)
    return Row("one durable `add`, one thread", Unit.SECONDS, results, 1.2, durable=True)


class _Adder:
    def __init__(self, contender: Contender, names: list[str], adds: int) -> None:
        self._add = contender.add
        self._names = itertools.cycle(names)
        self._topics = map("new:{:08}".format, itertools.count())
        self._adds = adds

    def add(self) -> float:
        calls = list(zip(itertools.islice(self._names, self._adds), self._topics, strict=False))
        begin = time.perf_counter()
        for name, topic in calls:
            self._add(name, topic)
        return (time.perf_counter() - begin) / len(calls)


def large_add(bench: Bench) -> Row:
    number = bench.sizes.memberships
    topics = [f"room:{topic:06}" for topic in range(number)]
    results = interleaved(
        {kind.name: partial(_seconds_of_large_add, bench, kind, topics) for kind in bench.kinds},
        bench.sizes.few_rounds,
    )
    return Row(f"one `add` of {number:,} topics", Unit.SECONDS, results, 1.15, durable=True)


def _seconds_of_large_add(bench: Bench, kind: Kind, topics: list[str]) -> float:
    with bench.new_folder() as folder, kind.served(folder) as address:
        contender = kind(address)
        try:
            contender.fill([("all", [])])
            begin = time.perf_counter()
            contender.add_many("all", topics)
            return time.perf_counter() - begin
        finally:
            contender.close()


def file_size(bench: Bench) -> Row:
    number = bench.sizes.memberships_of_file
    content = groups_of_ten(number // TOPICS_OF_A_GROUP)
    results = {}
    for kind in bench.kinds:
        with bench.new_folder() as folder:
            with kind.served(folder) as address:
                contender = kind(address)
                contender.fill(content)
                contender.close()
            files = (path for path in folder.rglob("*") if path.is_file())
            results[kind.name] = float(sum(path.stat().st_size for path in files))
    return Row(f"file size for {number:,} memberships", Unit.BYTES, results, 1.05)
