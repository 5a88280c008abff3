"""One mutation after the other, in processes that may die of them."""

from __future__ import annotations

import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.processes import PATIENCE, context, start
from tests.torture.files.bases import JOURNAL, WAL, Base, make_bases
from tests.torture.files.hostile import hand_over
from tests.torture.files.mutations import (
    Files,
    change_the_database,
    change_the_journal,
    change_the_log,
    mix_files,
)
from tests.torture.files.rule import Fault, judge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_MEMORY = Path("/dev/shm")


@dataclass
class Report:
    """What came of the mutations."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def mutant(seed: int, number: int, bases: list[Base]) -> tuple[str, Files, bool]:
    """Return the mutation of that number: what it is, its files, and whether it is none."""
    chance = random.Random(f"{seed} {number}")
    base = chance.choice(bases)
    share = chance.random()
    if share < 0.02:
        return f"{base.name}: as it is", base.files, True
    if share < 0.3:
        label, files = hand_over(chance, base)
    elif share < 0.35:
        label, files = mix_files(chance, base, chance.choice(bases))
    elif WAL in base.files and share < 0.75:
        label, files = change_the_log(chance, base)
    elif JOURNAL in base.files and share < 0.75:
        label, files = change_the_journal(chance, base)
    else:
        label, files = change_the_database(chance, base)
    return f"{base.name}: {label}", files, False


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder, in memory where there is one: nothing here depends on a disk."""
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="torture-files-", dir=memory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def run(
    seed: int,
    mutations: int,
    broken: str | None = None,
    patience: float = PATIENCE,
    enough: float = math.inf,
) -> Report:
    """Judge so many mutations, or until there are faults enough.

    A process that dies or hangs is a fault of the mutation that it was at.
    """
    report = Report()
    with scratch() as folder:
        workers = min(os.cpu_count() or 1, 4)
        lanes = [
            _Lane(folder / str(lane), seed, range(lane, mutations, workers), broken)
            for lane in range(workers)
        ]
        while any(lane.process for lane in lanes) and len(report.faults) < enough:
            busy = {lane.pipe: lane for lane in lanes if lane.process}
            for pipe in wait(list(busy), timeout=0.5):
                busy[pipe].receive(report)  # type: ignore[index]
            for lane in busy.values():
                lane.look_after(report, patience)
        for lane in lanes:
            lane.kill()
    return report


@cache
def _bases() -> list[Base]:
    with scratch() as folder:
        return make_bases(folder)


class _Lane:
    """The processes, one after the other, that go through some of the numbers."""

    process: BaseProcess | None
    pipe: Connection

    def __init__(self, folder: Path, seed: int, numbers: range, broken: str | None) -> None:
        folder.mkdir()
        self.folder, self.seed, self.broken = folder, seed, broken
        self.numbers = list(numbers)
        self.at = "the first of them"
        self.since = time.monotonic()
        self._start()

    def _start(self) -> None:
        self.pipe, there = context.Pipe(duplex=False)
        self.process = start(
            work, there, self.folder, _bases(), self.seed, self.numbers, self.broken
        )
        there.close()

    def receive(self, report: Report) -> None:
        try:
            message = self.pipe.recv()
        except EOFError:
            self._end(report, "")
            return
        self.since = time.monotonic()
        if isinstance(message, str):
            self.at = message
            return
        number, came, fault = message
        self.numbers.remove(number)
        report.counts[came] += 1
        if fault is not None:
            report.faults.append(f"{self.at}: {fault}")

    def look_after(self, report: Report, patience: float) -> None:
        if self.process and time.monotonic() - self.since > patience and not self.pipe.poll():
            self.process.kill()
            self._end(report, f"hung for {patience:g} s")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.join()

    def _end(self, report: Report, why: str) -> None:
        assert self.process is not None
        self.process.join()
        why = why or f"the process ended with {self.process.exitcode}"
        self.process.close()
        self.pipe.close()
        self.process = None
        if self.numbers:
            report.faults.append(f"{self.at}: {why}")
            report.counts["died"] += 1
            del self.numbers[0]
        if self.numbers:
            self.since = time.monotonic()
            self._start()


def work(
    pipe: Connection,
    folder: Path,
    bases: list[Base],
    seed: int,
    numbers: list[int],
    broken: str | None,
) -> None:
    """Judge the mutations of these numbers, and say before each what it is."""
    from tests.torture.files.variants import BROKEN

    if broken is not None:
        BROKEN[broken]()
    leaks: list[str] = []
    sys.unraisablehook = lambda what: leaks.append(repr(what.exc_value))
    with pipe:
        for number in numbers:
            label, files, untouched = mutant(seed, number, bases)
            pipe.send(f"mutation {number}, {label}")
            pipe.send((number, *_judged(files, seed, number, folder, untouched, leaks)))


def _judged(
    files: Files, seed: int, number: int, folder: Path, untouched: bool, leaks: list[Any]
) -> tuple[str, str | None]:
    home = folder / str(number)
    home.mkdir()
    try:
        came = judge(files, random.Random(f"use {seed} {number}"), home, untouched=untouched)
        return (came, None) if not leaks else ("fault", leaks.pop())
    except Fault as fault:
        return "fault", str(fault)
    finally:
        shutil.rmtree(home)
