"""What the processes do, each until it is over: write, read, hold on to a read, come and go."""

from __future__ import annotations

import itertools
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import beryl_groups
from beryl_groups import figures
from beryl_groups.sqlite.wal import MOST_BYTES
from tests.sqlite.store import store
from tests.torture.longlife.variants import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Event

    from beryl_groups import Groups

DATABASE = "groups.db"
GROUPS = [f"group:{number}" for number in range(40)]
TOPICS = [f"topic:{number}:{'x' * 50}" for number in range(400)]

SHORT_ENOUGH = 2 * MOST_BYTES
"""How large a WAL may be that nobody has held on to for a while."""

_THREADS = 2
_SECONDS_BETWEEN_SAMPLES = 0.1


@dataclass(frozen=True)
class Plan:
    """Who does what, where and for how long."""

    folder: Path
    seconds: float
    seed: int
    longest_hold: float
    """Seconds for which a read may be held on to."""
    patience: float
    """Seconds after which a WAL that is still too large will stay so."""
    broken: str = ""

    @property
    def path(self) -> Path:
        return self.folder / DATABASE


class Sample(NamedTuple):
    """What a process takes."""

    bytes: int
    descriptors: int
    calls: int


def fill(plan: Plan) -> None:
    with _start(plan) as groups, groups.transaction() as transaction:
        for name in GROUPS:
            transaction.create(name)


def work(kind: str, plan: Plan, over: Event, pipe: Connection) -> None:
    """Do one kind of work until it is over; send samples, and None or a fault at the end."""
    if plan.broken:
        BROKEN[plan.broken]()
    random = Random(f"{plan.seed} {kind}")
    calls = itertools.count()
    fault = None
    ended = threading.Event()

    def report() -> None:
        with suppress(BrokenPipeError):
            while not ended.wait(_SECONDS_BETWEEN_SAMPLES):
                pipe.send(_sample(next(calls)))
            return
        over.set()  # whoever started this is gone

    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        _KINDS[kind.rstrip("0123456789")](plan, random, over, calls)
    except Exception as error:
        fault = f"{kind}: {type(error).__name__}: {error}"
    ended.set()
    reporter.join()
    with pipe:
        pipe.send(fault)


def _sample(calls: int) -> Sample:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Sample(pages * os.sysconf("SC_PAGE_SIZE"), descriptors, calls)


def _in_threads(function: Callable[[Random], None], random: Random, over: Event) -> None:
    """Call a function again and again in several threads."""
    failures: list[Exception] = []

    def run(own: Random) -> None:
        try:
            while not over.is_set():
                function(own)
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=run, args=(Random(random.random()),)) for _ in range(_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def _start(plan: Plan) -> Groups:
    # Here it is about what grows; that nobody is kept waiting is for another run to see.
    return beryl_groups.start(plan.path, busy_timeout=60)


def _write(plan: Plan, random: Random, over: Event, calls: itertools.count[int]) -> None:
    with _start(plan) as groups:
        _in_threads(partial(_write_once, groups, calls), random, over)


def _write_once(groups: Groups, calls: itertools.count[int], random: Random) -> None:
    next(calls)
    group = random.choice(GROUPS)
    match random.randrange(8):
        case 0:
            with groups.transaction() as transaction:
                transaction.set_topics(group, random.sample(TOPICS, 30))
                transaction.add(random.choice(GROUPS), *random.sample(TOPICS, 3))
        case 1:
            slowly = partial(time.sleep, 0.001)
            groups.broadcast(lambda *_: slowly(), group, "event", None)
        case 2 | 3 | 4:
            groups.remove(group, *random.sample(TOPICS, 100))
        case _:
            groups.add(group, *random.sample(TOPICS, 100))


def _read(plan: Plan, random: Random, over: Event, calls: itertools.count[int]) -> None:
    def read(own: Random) -> None:
        next(calls)
        groups.topics(own.choice(GROUPS))
        groups.groups_of(own.choice(TOPICS))
        groups.list_groups()

    with _start(plan) as groups:
        _in_threads(read, random, over)


def _hold(plan: Plan, random: Random, over: Event, calls: itertools.count[int]) -> None:
    """Read all groups as an export does that is slow to write; then the WAL has to get shorter."""
    with _start(plan) as groups:
        while not over.is_set():
            next(calls)
            pause = random.random() * plan.longest_hold / len(GROUPS)

            def handle(*_: object, pause: float = pause) -> None:
                over.wait(pause)

            store(groups).read_file(figures.for_each_group, handle)
            _see_the_wal_shrink(plan, over)
            over.wait(random.random() * plan.longest_hold)


def _see_the_wal_shrink(plan: Plan, over: Event) -> None:
    deadline = time.monotonic() + plan.patience
    # In the end nobody writes any more, and so nobody empties it.
    while (size := size_of_wal(plan)) > SHORT_ENOUGH and not over.is_set():
        if time.monotonic() > deadline:
            raise AssertionError(f"the WAL stays at {size:,} bytes, though nobody holds on to it")
        time.sleep(0.01)


def size_of_wal(plan: Plan) -> int:
    try:
        return (plan.folder / f"{DATABASE}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _come_and_go(plan: Plan, random: Random, over: Event, calls: itertools.count[int]) -> None:
    copy = plan.folder / "copy.db"
    while not over.is_set():
        next(calls)
        with _start(plan) as groups:
            _write_once(groups, calls, random)
            groups.topics(random.choice(GROUPS))
            if random.random() < 0.1:
                groups.backup(copy)
                copy.unlink()
            if random.random() < 0.1 and (problems := groups.check()):
                raise AssertionError(" ".join(problems))


_KINDS = {"writer": _write, "reader": _read, "holder": _hold, "visitor": _come_and_go}
KINDS = ("writer1", "writer2", "reader1", "reader2", "holder", "visitor")
