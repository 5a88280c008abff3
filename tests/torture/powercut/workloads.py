"""What is recorded: calls of every kind, and in a process of its own what carries them out."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal

import beryl_groups
from beryl_groups import StorageFailed
from beryl_groups.sqlite import connections
from tests.contract.test_durability import BULK, perform
from tests.processes import together
from tests.sqlite import revisions
from tests.torture.lanes import Lanes
from tests.torture.storage import SYNC, Storage
from tests.torture.variants import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from beryl_groups import Groups
    from beryl_groups.sqlite.location import Location
    from tests.contract.test_durability import Call

DATABASE = "groups.db"

ADD_COLUMN = 'op.add_column("groups", sa.Column("colour", sa.Text()))'


@dataclass(frozen=True)
class Workload:
    """Calls, and the circumstances in which they are made."""

    calls: Callable[[str, Random], Iterator[Call]]
    lanes: int = 1
    synchronous: Literal["full", "normal"] = "full"
    new: bool = False
    """Whether there is no file yet when the recording begins."""
    upgrade: bool = False
    """Whether the file is brought to a newer revision first."""
    pages_of_wal: int = 1000
    """Pages in the WAL at which SQLite moves them into the file."""
    pages_of_cache: int = 500
    """Pages that a transaction may change before it has to write."""
    failing: float = 0
    """The share of calls during which a sync fails."""


def lanes_of(name: str, seed: int) -> Lanes:
    """Return the calls of each thread of a workload."""
    workload = WORKLOADS[name]
    return Lanes(
        {
            lane: list(workload.calls(lane, Random(f"{seed} {name} {lane}")))
            for lane in (f"lane{number}" for number in range(workload.lanes))
        }
    )


def _singles(lane: str, random: Random) -> Iterator[Call]:
    group, other = f"{lane}:a", f"{lane}:b"
    yield "create", (group,)
    for turn in range(8):
        yield "add", (group, f"topic:{turn}")
        yield "add", (group, f"more:{turn}", "x" * random.randrange(1, 1000))
    yield "remove", (group, "topic:1", "topic:2")
    yield "rename", (group, other)
    yield "create", (group,)
    yield "set_topics", (other, ["topic:1", "topic:7"])
    yield "delete", (other,)
    yield "add", (group, "last")


def _few(lane: str, _random: Random) -> Iterator[Call]:
    yield "create", (lane,)
    yield "add", (lane, "a", "b")


def _adds(lane: str, random: Random) -> Iterator[Call]:
    yield "create", (lane,)
    for turn in range(10):
        yield "add", (lane, *(f"{turn}:{each}" for each in range(random.randrange(1, 5))))


def _transactions(lane: str, random: Random) -> Iterator[Call]:
    yield "create", (f"{lane}:kept",)
    for turn in range(5):
        group = f"{lane}:{turn}"
        topics = random.sample(BULK, 20)
        inner = [("create", (group,)), ("add", (group, *topics))]
        inner += [("add", (f"{lane}:kept", each)) for each in topics[:3]]
        inner += [("remove", (group, *topics[:10])), ("rename", (group, f"{group}:renamed"))]
        yield "transaction", tuple(inner)


def _bulk(lane: str, random: Random) -> Iterator[Call]:
    yield "create", (lane,)
    for turn in range(3):
        yield "add", (lane, *(f"{turn}:{random.random()}:{'x' * 150}" for _ in BULK))
    yield "remove", (lane, *BULK)
    yield "set_topics", (lane, BULK)


def _backups(lane: str, random: Random) -> Iterator[Call]:
    yield "create", (lane,)
    for turn in range(3):
        yield "add", (lane, *random.sample(BULK, 100))
        yield "backup", (f"copy{turn}.db",)


def _reopened(lane: str, random: Random) -> Iterator[Call]:
    for turn, call in enumerate(_singles(lane, random)):
        yield call
        if turn % 3 == 2:
            yield "reopen", ()


WORKLOADS = {
    "first open": Workload(_few, new=True),
    "single adds": Workload(_singles),
    "shared commits": Workload(_adds, lanes=6),
    "transactions": Workload(_transactions),
    "bulk": Workload(_bulk, pages_of_cache=10),
    "checkpoints": Workload(_singles, pages_of_wal=8),
    "shared commits and checkpoints": Workload(_adds, lanes=4, pages_of_wal=6),
    "opened again": Workload(_reopened),
    "upgrade": Workload(_few, upgrade=True),
    "backup": Workload(_backups),
    'synchronous="normal"': Workload(_singles, synchronous="normal", pages_of_wal=8),
    "syncs that fail": Workload(_singles, new=True, failing=0.5, pages_of_wal=8),
    "syncs that fail, opened again": Workload(_reopened, new=True, failing=0.6),
    "syncs of shared commits that fail": Workload(_adds, lanes=3, failing=0.3, pages_of_wal=8),
}


def prepare(folder: Path, names: Collection[str]) -> Path:
    """Make what is there before the recording begins; return the package of the upgrade."""
    for name in names:
        (folder / name).mkdir()
        if not WORKLOADS[name].new:
            beryl_groups.start(folder / name / DATABASE).close()
    return revisions.with_next(folder.with_name(f"{folder.name}-migrations"), ADD_COLUMN)


@contextmanager
def _set_up(workload: Workload) -> Iterator[None]:
    """Have each connection opened within the block work as the workload wants it."""
    sound = connections.open_connection

    def open_connection(
        location: Location, busy_timeout: float, synchronous: connections.Synchronous
    ) -> connections.Connection:
        connection = sound(location, busy_timeout, synchronous)
        connection.execute(f"PRAGMA wal_autocheckpoint = {workload.pages_of_wal}")
        connection.execute(f"PRAGMA cache_size = {workload.pages_of_cache}")
        return connection

    connections.open_connection = open_connection
    try:
        yield
    finally:
        connections.open_connection = sound


class _Recording:
    """One workload at work on one folder."""

    def __init__(self, name: str, folder: Path, seed: int, storage: Storage) -> None:
        self._path = folder / DATABASE
        self._workload = WORKLOADS[name]
        self._seed = seed
        self._storage = storage
        self.groups = self._start()

    def run(self, lanes: Lanes) -> None:
        together(*(partial(self._carry_out, *each) for each in lanes.calls.items()))

    def _start(self) -> Groups:
        return beryl_groups.start(self._path, synchronous=self._workload.synchronous)

    def _carry_out(self, lane: str, calls: list[Call]) -> None:
        random = Random(f"{self._seed} {lane}")
        for call in calls:
            self._storage.mark(f"begin {lane}")
            if call[0] != "reopen" and random.random() < self._workload.failing:
                self._storage.fail(SYNC, random.randrange(3), errno.EIO, on=random.random() < 0.5)
            self._persist(call, random.randrange(1, 4))
            self._storage.mend()
            self._storage.mark(f"end {lane}")

    def _persist(self, call: Call, patience: int) -> None:
        """Make a call again until it works; after so many failures syncs work again."""
        while True:
            try:
                return self._perform(call)
            except StorageFailed:
                if not self._workload.failing:
                    raise
                patience -= 1
                if patience <= 0:
                    self._storage.mend()

    def _perform(self, call: Call) -> None:
        match call:
            case "backup", (name,):
                self.groups.backup(self._path.with_name(name))
            case "reopen", ():
                self.groups.close()
                self.groups = self._start()
            case _:
                perform(self.groups, call)


def main(folder: Path, package: Path, seed: int, broken: str, names: list[str]) -> None:
    """Carry out workloads, and end without closing anything, as a cut would have it."""
    if broken:
        BROKEN[broken]()
    storage = Storage()
    kept = []
    for name in names:
        workload = WORKLOADS[name]
        storage.mark(f"workload {name}")
        with _set_up(workload), revisions.installed(package if workload.upgrade else None):
            try:
                recording = _Recording(name, folder / name, seed, storage)
                kept.append(recording)
                recording.run(lanes_of(name, seed))
            except Exception as error:
                storage.mark("over")
                print(f"{name}: {type(error).__name__}: {error}")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _, given, made, number, *words = sys.argv
    main(Path(given), Path(made), int(number), words[0], words[1:])
