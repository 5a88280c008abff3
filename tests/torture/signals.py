"""``python -m tests.torture.signals``: KeyboardInterrupt and SystemExit at random moments.

A timer interrupts whatever a thread does with a handle, beside other threads that write through
it. After each signal the handle has to be of use, what the call wrote has to be there whole or
not at all, and when all is over nothing may be left open or lying about. 200 signals, or 10,000
with ``--long``.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups import AlreadyExists, NotFound
from tests import processes
from tests.processes import PATIENCE, in_thread, open_files
from tests.torture.command import parse
from tests.torture.variants import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from types import FrameType

    from beryl_groups import Groups

NOTICED = ("splits_bulk_adds", "splits_transactions")


class Alarm:
    """A signal that comes once, at some moment, and raises what ends programs."""

    def __init__(self, choice: random.Random) -> None:
        self._random = choice
        self.pending = False
        signal.signal(signal.SIGALRM, self._handle)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if self.pending:
            self.pending = False
            raise self._random.choice((KeyboardInterrupt, SystemExit))

    def interrupt(self, call: Callable[[], object]) -> None:
        """Repeat a call until the signal comes."""
        # In a function of its own: it may come where a block has been left already.
        with suppress(KeyboardInterrupt, SystemExit):
            self._repeat(call)

    def _repeat(self, call: Callable[[], object]) -> None:
        self.pending = True
        try:
            signal.setitimer(signal.ITIMER_REAL, 10 ** self._random.uniform(-5, -2.3))
            while self.pending:
                call()
        finally:
            self.pending = False  # where the call failed by itself


class Interrupted:
    """What is called until the signal comes, and what has to be so after it."""

    def __init__(self, groups: Groups, path: Path) -> None:
        self._groups = groups
        self._path = path
        self._copy = path.parent / "copies" / "copy.db"
        self._copy.parent.mkdir()
        self.calls = (
            self.add,
            self.transact,
            self.set_topics,
            self.rename,
            self.read,
            self.broadcast,
            self.back_up,
            self.open_another,
            self._groups.check,
        )

    def add(self) -> None:
        self._groups.add("group", "a", "b")
        self._groups.remove("group", "a", "b")

    def transact(self) -> None:
        self._groups.set_topics("group", [])
        with self._groups.transaction() as transaction:
            transaction.add("group", "a")
            transaction.add("group", "b")
            transaction.broadcast(lambda *_: None, "group", "event", None)

    def set_topics(self) -> None:
        self._groups.set_topics("group", ["a", "b"])
        self._groups.set_topics("group", [])

    def rename(self) -> None:
        for names in (("here", "there"), ("there", "here")):
            with suppress(NotFound, AlreadyExists):
                self._groups.rename(*names)

    def read(self) -> None:
        self._groups.topics("group")
        self._groups.groups_of("a")
        self._groups.list_groups("g")

    def broadcast(self) -> None:
        self._groups.broadcast(lambda *_: None, ["group", "others"], "event", None)

    def back_up(self) -> None:
        self._copy.unlink(missing_ok=True)
        self._groups.backup(self._copy)

    def open_another(self) -> None:
        with beryl_groups.start(self._path) as another:
            another.topics("group")

    def expect_well(self) -> None:
        """See that nothing is half done, and that each kind of call works."""
        found = self._groups.topics("group") & {"a", "b"}
        assert len(found) != 1, "half of a call is there"
        # In one look: what another thread carries along may land a moment later.
        assert len({"here", "there"}.intersection(self._groups)) == 1, "half renamed"
        left = list(self._copy.parent.iterdir())
        assert left in ([], [self._copy]), f"left beside the copy: {left}"
        if left:
            with beryl_groups.start(self._copy) as copied:
                assert "group" in copied, "the copy is not whole"
        self.transact()
        assert self._groups.topics("group") == {"a", "b"}
        self._groups.set_topics("group", [])


@contextmanager
def writing_beside(groups: Groups) -> Iterator[None]:
    """Have two threads write through the handle; they are not interrupted, and lose nothing."""
    written: tuple[set[str], ...] = (set(), set())
    stop = threading.Event()

    def write(worker: int) -> None:
        mine = written[worker]
        for number in itertools.count():
            if stop.is_set():
                return
            groups.add("others", topic := f"{worker}:{number}")
            mine.add(topic)
            if len(mine) == 100:
                groups.remove("others", *mine)
                mine.clear()

    workers = [in_thread(partial(write, worker)) for worker in range(2)]
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.result(PATIENCE)
    assert groups.topics("others") == set().union(*written), (
        "what another thread had written is lost"
    )


def be_interrupted(folder: Path, seed: int, signals: int) -> None:
    """Do all of it, in the main thread of this process."""
    # As coverage does, which takes a lock of its own that an interrupt would leave taken.
    if (coverage := sys.modules.get("coverage")) and (measuring := coverage.Coverage.current()):
        measuring.stop()
    warnings.simplefilter("ignore")  # a start that is interrupted may forget its handle
    choice = random.Random(seed)
    path = folder / "groups.db"
    before = open_files()
    with beryl_groups.start(path, synchronous="normal") as groups:
        for name in ("group", "others", "here"):
            groups.create(name)
        interrupted, alarm = Interrupted(groups, path), Alarm(choice)
        with writing_beside(groups):
            for _ in range(signals):
                call = choice.choice(interrupted.calls)
                alarm.interrupt(call)
                try:
                    interrupted.expect_well()
                except BaseException as error:
                    raise AssertionError(f"after a signal in {call.__name__}") from error
        assert groups.check() == []
    # A connection that nobody came to close holds itself until the next collection. If it was one
    # that only reads, it was not for it to remove the files beside the database.
    gc.collect()
    left_open = [name for name in open_files() if name not in before]
    assert not left_open, f"left open: {left_open}"
    beryl_groups.start(path).close()
    beside = sorted(each.name for each in folder.iterdir())
    assert beside == ["copies", path.name], f"left beside the file: {beside}"


def work(folder: Path, seed: int, signals: int, broken: str | None, result: Connection) -> None:
    """Be the process that is interrupted, and say what went wrong."""
    if broken is not None:
        BROKEN[broken]()
    try:
        be_interrupted(folder, seed, signals)
        result.send(None)
    except BaseException:
        result.send(traceback.format_exc())
        os._exit(1)


def run(seed: int, signals: int, broken: str | None = None) -> str | None:
    """Send so many signals, and return what went wrong, if anything did."""
    with tempfile.TemporaryDirectory() as folder:
        reader, writer = processes.context.Pipe(duplex=False)
        process = processes.start(work, Path(folder), seed, signals, broken, writer)
        writer.close()
        fault: str | None = "it came to a sudden end"
        with reader, suppress(EOFError):
            fault = reader.recv() if reader.poll(PATIENCE + signals / 10) else "it hangs"
        process.kill()
        process.join()
    return fault


def main(words: list[str] | None = None) -> int:
    """Interrupt, print what came of it, and return the exit code."""
    arguments = parse("signals", __doc__, words, NOTICED)
    signals = 10_000 if arguments.long else 200
    fault = run(arguments.seed, signals, arguments.broken)
    if fault is not None:
        print(fault)
    print(f"{signals:,} signals, {int(fault is not None)} faults")
    return 0 if fault is None else 1


if __name__ == "__main__":
    sys.exit(main())
