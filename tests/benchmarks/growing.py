"""One size of the growth measurements, in a process of its own; the figures are printed as JSON.

Groups have 10 topics each and each topic is in 10 groups, far apart in the file. What the system
keeps in memory of a file stays there: the times are those of a file that is in use.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import beryl_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import RawIOBase

    from beryl_groups import Groups

TOPICS_OF_A_GROUP = 10

_GROUPS_OF_A_TRANSACTION = 10_000
_SCATTERING = 7_368_787  # a prime that divides no number of topics here

_ROUNDS = 51
_CALLS_OF_A_ROUND = 20
_PAGES = 204
_WRITES = 101


def group_name(number: int) -> str:
    return f"team:{number:08}"


def topics_of(number: int, memberships: int) -> list[str]:
    """Return the topics of a group: in all groups together, each topic comes up 10 times."""
    first = number * TOPICS_OF_A_GROUP
    there_are = memberships // TOPICS_OF_A_GROUP
    return [
        f"room:{place * _SCATTERING % there_are:08}"
        for place in range(first, first + TOPICS_OF_A_GROUP)
    ]


def fill(memberships: int, path: Path) -> dict[str, float]:
    numbers = iter(range(memberships // TOPICS_OF_A_GROUP))
    with beryl_groups.start(path) as groups:
        begin = time.perf_counter()
        while some := list(islice(numbers, _GROUPS_OF_A_TRANSACTION)):
            with groups.transaction() as transaction:
                for number in some:
                    transaction.create(group_name(number))
                    transaction.add(group_name(number), *topics_of(number, memberships))
    return {"filled": memberships / (time.perf_counter() - begin)}


def memory(memberships: int, path: Path) -> dict[str, float]:
    """Return by how much a process that opens the file and reads outgrows one that does not."""
    start = beryl_groups.start  # the package loads what it offers when it is asked for
    before = _peak_memory()
    if before is None:
        return {}
    with start(path) as groups:
        _times_of_reads(groups, memberships)
        after = _peak_memory()
    assert after is not None
    return {"memory": after - before}


def times(memberships: int, path: Path) -> dict[str, float]:
    figures = {"open": statistics.median(_times_of_open(path))}
    with beryl_groups.start(path) as groups:
        figures |= _times_of_reads(groups, memberships)
        with path.with_suffix(".sync").open("wb", buffering=0) as beside:
            figures |= _times_of_writes(groups, memberships, beside)
    path.with_suffix(".sync").unlink()
    return figures


def _times_of_open(path: Path) -> Iterator[float]:
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        groups = beryl_groups.start(path)
        yield time.perf_counter() - begin
        groups.close()


def _times_of_reads(groups: Groups, memberships: int) -> dict[str, float]:
    number = memberships // TOPICS_OF_A_GROUP
    names = [group_name(each) for each in _some(number)]
    topics = [f"room:{each:08}" for each in _some(number)]
    middle = [group_name(number // 4 + each) for each in range(min(number // 4, _PAGES))]
    return {
        "uncached": _median(groups.topics, names),
        "cached": _median(groups.topics, names[-10:] * (_ROUNDS * _CALLS_OF_A_ROUND // 10)),
        "groups_of": _median(groups.groups_of, topics),
        "page": _median(lambda name: groups.list_groups(after=name, limit=100), middle),
    }


def _times_of_writes(groups: Groups, memberships: int, beside: RawIOBase) -> dict[str, float]:
    """Return the medians of durable writes, and of a count that no write has left in memory.

    Also that of a page written and synced with nothing of the library in between: what the
    storage takes by itself at that time.
    """
    found: dict[str, list[float]] = {"add": [], "create": [], "length": [], "sync": []}
    sync = getattr(os, "fdatasync", os.fsync)
    numbers = cycle(_some(memberships // TOPICS_OF_A_GROUP))
    for place, number in zip(range(_WRITES), numbers, strict=False):
        begin = time.perf_counter()
        groups.add(group_name(number), f"new:{place}")
        added = time.perf_counter()
        groups.create(f"new:{place}")
        created = time.perf_counter()
        len(groups)
        counted = time.perf_counter()
        beside.seek(0)
        beside.write(b"\0" * 4096)
        sync(beside.fileno())
        found["sync"].append(time.perf_counter() - counted)
        found["add"].append(added - begin)
        found["create"].append(created - added)
        found["length"].append(counted - created)
    return {what: statistics.median(seconds) for what, seconds in found.items()}


def _some(number: int) -> list[int]:
    """Return different numbers at random, the same in every run."""
    return random.Random(4).sample(range(number), min(number, _ROUNDS * _CALLS_OF_A_ROUND))


def _median(call: Callable[[str], object], names: list[str]) -> float:
    """Return the median, over rounds, of how long one call takes."""
    remaining = iter(names)
    calls = max(1, min(_CALLS_OF_A_ROUND, len(names) // _ROUNDS))
    rounds = []
    while some := list(islice(remaining, calls)):
        begin = time.perf_counter()
        for name in some:
            call(name)
        rounds.append((time.perf_counter() - begin) / len(some))
    return statistics.median(rounds)


def _peak_memory() -> float | None:
    """Return the most bytes this process has had in memory; None where the system cannot tell."""
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else most * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description="A part of the growth measurements.")
    parser.add_argument("what", choices=["fill", "memory", "times"])
    parser.add_argument("memberships", type=int)
    parser.add_argument("path", type=Path)
    given = parser.parse_args()
    run = {"fill": fill, "memory": memory, "times": times}[given.what]
    print(json.dumps(run(given.memberships, given.path)))


if __name__ == "__main__":
    main()
