"""The processes that are killed."""

from __future__ import annotations

import itertools
import os
import random
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import beryl_groups
from tests.contract.test_durability import perform
from tests.processes import PATIENCE
from tests.sqlite.revisions import installed
from tests.torture.kill.program import Program
from tests.torture.variants import BROKEN

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from beryl_groups import Groups

BEGIN, END = 0, 1

OPENING = 255
"""Stands in a note where the number of a thread does: the process opens the file, or closes it."""


@dataclass(frozen=True)
class Plan:
    """What a process does until it is killed."""

    seed: str
    name: str
    path: Path
    copies: Path
    threads: int
    synchronous: Literal["full", "normal"]
    shared: bool
    package: Path | None
    broken: str | None

    def programs(self) -> list[Program]:
        return [
            Program(self.seed, f"{self.name}.{thread}", self.copies, shared=self.shared)
            for thread in range(self.threads)
        ]

    @property
    def failure(self) -> Path:
        """Where it leaves word of an error that no call of it should meet."""
        return self.path.parent.with_name("failures") / self.name


def work(plan: Plan, notes: Connection) -> None:
    """Open the file, write in all threads, close it, and so on."""
    if plan.broken is not None:
        BROKEN[plan.broken]()
    try:
        with installed(plan.package):
            _work(plan, notes.fileno())
    except BaseException:
        plan.failure.write_text(traceback.format_exc())
        os._exit(1)


def _work(plan: Plan, notes: int) -> None:
    choice = random.Random(f"{plan.seed}, {plan.name}")
    sys.setswitchinterval(choice.choice((1e-5, 5e-3)))
    programs = plan.programs()

    def note(who: int, what: int) -> None:
        os.write(notes, bytes((who, what)))  # so few are written whole

    def write(groups: Groups, thread: int, calls: int) -> None:
        for _ in range(calls):
            call = programs[thread].next_call()
            note(thread, BEGIN)
            perform(groups, call)
            note(thread, END)

    for turn in itertools.count():
        note(OPENING, BEGIN)
        with beryl_groups.start(
            plan.path, busy_timeout=PATIENCE, synchronous=plan.synchronous
        ) as groups:
            note(OPENING, END)
            calls = choice.choice((1, 10, 40)) if turn else 40
            with ThreadPoolExecutor(plan.threads) as pool:
                done = [pool.submit(write, groups, each, calls) for each in range(plan.threads)]
                for each in done:
                    each.result()
            note(OPENING, BEGIN)
        note(OPENING, END)
