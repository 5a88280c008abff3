"""One life of a database, from its making to its end, in a process whose storage fails.

Each call is made until it works. It may fail only while the storage does, with a sentence, and
what failed has left nothing. It runs one life after the other, as it is told on standard input;
at some points it asks on standard output to be looked at from outside, and waits for that.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import beryl_groups
from beryl_groups import GroupError, StartFailed, StorageFailed
from beryl_groups.sqlite import connections
from tests.contract.test_durability import BULK, contents, perform
from tests.processes import together
from tests.torture.faults.variants import BROKEN
from tests.torture.lanes import Lanes, Progress, of_lane, short
from tests.torture.storage import CLASSES, ENTRY, Storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups
    from beryl_groups.sqlite.location import Location
    from tests.contract.test_durability import Call

T = TypeVar("T")

DATABASE = "groups.db"
COPY = "copy.db"

_THREADS = 4


@dataclass(frozen=True)
class Plan:
    """What is to fail: which operation of a class, with which error, and whether all after it."""

    kind: int
    skip: int
    error: int
    on: bool
    patience: int
    """After so many failed calls the storage works again."""


class Wrong(Exception):  # noqa: N818 - it is what was found
    """A call did what it must not do."""


def first_calls() -> Lanes:
    """Return the calls that one thread makes by itself."""
    calls: list[Call] = [
        ("create", ("alone",)),
        ("add", ("alone", "a", "b")),
        ("transaction", (("create", ("alone:2",)), ("add", ("alone:2", "a", *BULK[:40])))),
        ("add", ("alone", *BULK)),
        ("remove", ("alone", *BULK[::2])),
        ("rename", ("alone:2", "alone:3")),
        ("set_topics", ("alone:3", ["a", "c"])),
        ("delete", ("alone:3",)),
    ]
    return Lanes({"alone": calls})


def shared_calls() -> Lanes:
    """Return the calls that threads make beside one another."""
    return Lanes({f"thread{number}": _shared(f"thread{number}") for number in range(_THREADS)})


def _shared(lane: str) -> list[Call]:
    return [("create", (lane,)), *(("add", (lane, f"a{turn}", f"b{turn}")) for turn in range(5))]


class Life:
    """One file and the calls on it."""

    def __init__(self, path: Path, plan: Plan, storage: Storage) -> None:
        self._path = path
        self._storage = storage
        self._plan = plan
        self._left = plan.patience
        self._mutex = threading.Lock()
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        plan = self._plan
        self._storage.fail(plan.kind, plan.skip, plan.error, on=plan.on)
        groups = self._until_it_works(partial(beryl_groups.start, self._path))
        alone, shared = first_calls(), shared_calls()
        progress = Progress()
        self._carry_out(groups, alone, progress, "alone")
        self._back_up(groups)
        together(
            *(partial(self._carry_out, groups, shared, progress, each) for each in shared.calls)
        )
        self._look(progress)
        with suppress(GroupError):
            groups.close()
        self._look(progress)
        self._storage.mend()
        with beryl_groups.start(self._path) as again:
            self._compare(again, alone, progress, "alone")
            again.add("alone", "at the end")

    def _carry_out(self, groups: Groups, lanes: Lanes, progress: Progress, lane: str) -> None:
        for call in lanes.calls[lane]:
            progress.begun[lane] += 1
            self._until_it_works(
                partial(perform, groups, call),
                partial(self._after_a_failure, groups, lanes, progress, lane),
            )
            progress.acknowledged[lane] += 1
        self._compare(groups, lanes, progress, lane)

    def _after_a_failure(self, groups: Groups, lanes: Lanes, progress: Progress, lane: str) -> None:
        self._compare(groups, lanes, progress, lane)
        if lane == "alone":
            self._look(progress)

    def _compare(self, groups: Groups, lanes: Lanes, progress: Progress, lane: str) -> None:
        """See that the handle has what was acknowledged of a lane, and nothing else of it."""
        held = of_lane(lane, self._until_it_works(partial(contents, groups)))
        expected = lanes.moments[lane][progress.acknowledged[lane]]
        if held != expected:
            raise Wrong(f"the handle gives {short(held)}, and {short(expected)} is right")

    def _back_up(self, groups: Groups) -> None:
        target = self._path.with_name(COPY)

        def nothing_is_left() -> None:
            if target.exists():
                if not (self._plan.kind == ENTRY and self._plan.on):
                    raise Wrong("a backup that failed has left a file of its name")
                self._storage.mend()  # no name could be taken away again either
                target.unlink()

        self._until_it_works(partial(groups.backup, target), nothing_is_left)

    def _until_it_works(
        self, call: Callable[[], T], after_a_failure: Callable[[], None] | None = None
    ) -> T:
        while True:
            failed_before = self._storage.failed()
            try:
                return call()
            except (StorageFailed, StartFailed) as error:
                self._judge(error)
                if self._storage.failed() == failed_before:
                    raise Wrong(f"a call failed and the storage did not: {error}") from error
            self._be_patient()
            if after_a_failure is not None:
                after_a_failure()

    def _judge(self, error: GroupError) -> None:
        sentence = str(error)
        self.failures[type(error).__name__] += 1
        if not (sentence.endswith(".") and str(self._path.parent) in sentence):
            raise Wrong(f"this is no sentence that helps: {sentence!r}") from error

    def _be_patient(self) -> None:
        with self._mutex:
            self._left -= 1
            if self._left <= 0:
                self._storage.mend()

    def _look(self, progress: Progress) -> None:
        _say({"look": str(self._path), **vars(progress)})
        _hear()


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def _hear() -> str:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return line


def _checkpoint_often() -> None:
    """Have SQLite move what is in the WAL into the file after a few pages."""
    sound = connections.open_connection

    def open_connection(
        location: Location, busy_timeout: float, synchronous: connections.Synchronous
    ) -> connections.Connection:
        connection = sound(location, busy_timeout, synchronous)
        connection.execute("PRAGMA wal_autocheckpoint = 12")
        return connection

    connections.open_connection = open_connection


def main(folder: Path, broken: str) -> None:
    """Run one life after the other."""
    if broken:
        BROKEN[broken]()
    _checkpoint_often()
    storage = Storage()
    number = 0
    while True:
        plan = Plan(**json.loads(_hear()))
        place = folder / str(number)
        place.mkdir()
        number += 1
        seen = [storage.seen(kind) for kind in CLASSES]
        life = Life(place / DATABASE, plan, storage)
        fault = ""
        try:
            life.run()
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
        storage.mend()
        counts = [storage.seen(kind) - before for kind, before in zip(CLASSES, seen, strict=True)]
        _say({"fault": fault, "seen": counts, "failures": life.failures})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
