"""Reads: from memory, from the file for the first time, and to broadcast."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.measure import (
    TOPICS_OF_A_GROUP,
    groups_of_ten,
    interleaved,
    seconds_of_each,
)
from tests.benchmarks.table import Row
from tests.benchmarks.units import Unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.contender import Kind
    from tests.benchmarks.measure import Bench

BARE_LOOP = "bare loop"


def cached(bench: Bench) -> Row:
    content = groups_of_ten(10)
    names = [name for name, _ in content] * (bench.sizes.reads // len(content) + 1)
    with bench.filled(content) as contenders:
        results = interleaved(
            {
                name: partial(seconds_of_each, contender.topics, names)
                for name, contender in contenders.items()
            },
            bench.sizes.rounds,
        )
    return Row("`topics` of 10, repeated (cached)", Unit.SECONDS, results, 0.4)


def uncached(bench: Bench) -> Row:
    results = _first_reads(bench, 5 * bench.sizes.reads, 2 * bench.sizes.reads)
    return Row("`topics` of 10, first time (uncached)", Unit.SECONDS, results, 2)


def scattered(bench: Bench) -> Row:
    number = bench.sizes.memberships
    results = _first_reads(bench, number // TOPICS_OF_A_GROUP, 0)
    return Row(f"the same, scattered over {number:,} memberships", Unit.SECONDS, results, 2)


def _first_reads(bench: Bench, groups: int, before: int) -> dict[str, float]:
    """Read groups at random, none twice, each round with everyone freshly opened.

    Reads of other groups that come `before` bring the pages of a small file into memory.
    """
    content = groups_of_ten(groups)
    names = [name for name, _ in content]
    with ExitStack() as stack:
        readers = {}
        for kind in bench.kinds:
            address = stack.enter_context(kind.served(stack.enter_context(bench.new_folder())))
            contender = kind(address)
            contender.fill(content)
            contender.close()
            reader = _FreshReader(kind, address, names, before, bench.sizes.reads)
            readers[kind.name] = reader.read
        return interleaved(readers, bench.sizes.rounds)


class _FreshReader:
    def __init__(self, kind: Kind, address: str, names: list[str], before: int, reads: int) -> None:
        self._kind, self._address = kind, address
        self._names, self._before, self._reads = names, before, reads
        self._random = random.Random(4)  # everyone reads the same groups

    def read(self) -> float:
        names = self._random.sample(self._names, self._before + 10 + self._reads)
        contender = self._kind(self._address)
        try:
            for name in names[: self._before]:
                contender.topics(name)
            return seconds_of_each(contender.topics, names[self._before :])
        finally:
            contender.close()


def broadcast(bench: Bench) -> Row:
    number = bench.sizes.topics_of_broadcast
    topics = [f"room:{topic:06}" for topic in range(number)]
    with bench.filled([("all", topics)]) as contenders:
        rounds_of = {
            name: partial(_seconds_of_second, partial(contender.broadcast, _channel, "all"))
            for name, contender in contenders.items()
        }
        rounds_of[BARE_LOOP] = partial(_seconds_of_second, partial(_loop, _channel, topics))
        results = interleaved(rounds_of, bench.sizes.rounds)
    work = f"`broadcast` to {number:,} topics, against a bare loop over a sorted list"
    return Row(work, Unit.SECONDS, results, 1.25, against=BARE_LOOP)


def _channel(topic: str, event: str, payload: object) -> None:
    pass


def _loop(channels: Callable[..., object], topics: list[str], event: str, payload: object) -> None:
    for topic in topics:
        channels(topic, event, payload)


def _seconds_of_second(broadcast: Callable[[str, object], object]) -> float:
    """Time the second of two: the first brings the topics back into the processor's memory."""
    broadcast("event", None)
    begin = time.perf_counter()
    broadcast("event", None)
    return time.perf_counter() - begin
