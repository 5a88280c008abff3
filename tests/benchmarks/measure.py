"""How it is measured: everyone in turn, in rounds, and the median of the rounds."""

from __future__ import annotations

import random
import statistics
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.benchmarks.contender import Contender, Kind

Content = list[tuple[str, list[str]]]

TOPICS_OF_A_GROUP = 10


@dataclass(frozen=True)
class Sizes:
    """How much of each work is done."""

    rounds: int
    """Many and short, for what takes microseconds: where others use the machine as well, most
    rounds are over before they are interrupted, and the median is one of those."""
    few_rounds: int
    """For what takes longer."""
    reads: int
    adds: int
    memberships: int
    """In the file over which reads are scattered, and in one large add."""
    memberships_of_file: int
    topics_of_broadcast: int
    threads: int
    seconds_of_threads: float
    seconds_of_reading: float


LONG = Sizes(51, 11, 100, 50, 200_000, 100_000, 10_000, 32, 1.0, 4.0)
SHORT = Sizes(1, 1, 10, 3, 500, 500, 100, 4, 0.03, 0.03)


@dataclass(frozen=True)
class Bench:
    """Who is measured, how much, and where."""

    kinds: Sequence[Kind]
    sizes: Sizes
    folder: Path

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        with TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)

    @contextmanager
    def filled(self, content: Content) -> Iterator[dict[str, Contender]]:
        """Give everyone, each open and holding the same groups."""
        with ExitStack() as stack:
            contenders = {}
            for kind in self.kinds:
                folder = stack.enter_context(self.new_folder())
                address = stack.enter_context(kind.served(folder))
                contender = contenders[kind.name] = kind(address)
                stack.callback(contender.close)
                contender.fill(content)
            yield contenders


def groups_of_ten(number: int) -> Content:
    """Return that many groups of ten topics each, and no topic in two."""
    return [
        (
            f"team:{group:06}",
            [f"room:{group:06}:{topic}" for topic in range(TOPICS_OF_A_GROUP)],
        )
        for group in range(number)
    ]


def interleaved(
    rounds_of: Mapping[str, Callable[[], float]], number_of_rounds: int
) -> dict[str, float]:
    """Return the median of the rounds of each.

    All take turns, so that none has a quieter hour, and in an order that changes, so that none
    always comes after the same other.
    """
    found: dict[str, list[float]] = {name: [] for name in rounds_of}
    order = list(rounds_of)
    shuffle = random.Random(4).shuffle
    if number_of_rounds > 1:
        for name in order:
            rounds_of[name]()  # for what only the first round pays, such as caches of statements
    for _ in range(number_of_rounds):
        shuffle(order)
        for name in order:
            found[name].append(rounds_of[name]())
    return {name: statistics.median(each) for name, each in found.items()}


def seconds_of_each(call: Callable[[str], object], names: Sequence[str]) -> float:
    """Return how long a call with one of the names takes, the first ten left out."""
    first, names = names[:10], names[10:]
    for name in first:
        call(name)
    begin = time.perf_counter()
    for name in names:
        call(name)
    return (time.perf_counter() - begin) / len(names)
