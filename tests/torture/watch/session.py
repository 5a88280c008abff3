"""A session: rounds of writing, and in each moment of rest the question who knows what."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import beryl_groups
from tests import processes
from tests.processes import PATIENCE
from tests.torture.watch import watchers, writers

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

_WRITERS, _WATCHERS = 4, 3


@dataclass
class Figures:
    """What came of it."""

    steps: int = 0
    rests: int = 0
    kills: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.steps:,} changes applied in {self.rests:,} rests and beside {self.kills:,} "
            f"kills, {len(self.faults):,} faults"
        )


@dataclass(frozen=True)
class Plan:
    """What all processes of a session know."""

    seed: str
    path: Path
    variants: tuple[str, ...]


class Worker:
    """A process that is asked, and answers."""

    def __init__(self, work: Callable[..., None], plan: Plan, number: int) -> None:
        self.pipe, there = processes.context.Pipe()
        self.process: BaseProcess = processes.start(work, plan, number, there)
        there.close()

    def answer(self) -> Any:
        if not self.pipe.poll(2 * PATIENCE):
            raise EOFError("it does not answer")
        return self.pipe.recv()

    def end(self) -> None:
        self.pipe.close()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run_session(seed: str, figures: Figures, rounds: int, variants: tuple[str, ...]) -> None:
    """Go on for so many rounds, or up to the first fault."""
    choice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        plan = Plan(seed, Path(folder) / "groups.db", variants)
        groups = stack.enter_context(beryl_groups.start(plan.path))
        watching = [Worker(watchers.watch, plan, number) for number in range(_WATCHERS)]
        writing = [Worker(writers.write, plan, number) for number in range(_WRITERS)]
        stack.callback(_end, watching, writing)
        steps = 0
        for number in range(rounds):
            _write(plan, choice, writing, watching, figures, number)
            model = {name: set(groups.topics(name)) for name in groups}
            for each in watching:
                each.pipe.send(model)
            steps = 0
            for each in watching:
                try:
                    faults, told = each.answer()
                except EOFError as error:
                    faults, told = [f"a watcher has ended: {error}"], 0
                figures.faults += faults
                steps += told
            figures.rests += 1
            if figures.faults:
                break
        figures.steps += steps


def _end(watching: list[Worker], writing: list[Worker]) -> None:
    for each in (*watching, *writing):
        each.end()


def _write(
    plan: Plan,
    choice: random.Random,
    writing: list[Worker],
    watching: list[Worker],
    figures: Figures,
    number: int,
) -> None:
    """Have all write for a while, and disturb them."""
    calls = choice.choice((1, 5, 20))
    for each in writing:
        each.pipe.send(calls)
    stopped = watching[0].process.pid if choice.random() < 0.2 else None
    if stopped is not None:
        os.kill(stopped, signal.SIGSTOP)
    for each in watching[1:]:
        if choice.random() < 0.3:
            each.pipe.send(None)  # begin anew
    if choice.random() < 0.1:
        time.sleep(choice.random() * 0.02)
        writing.pop(choice.randrange(_WRITERS)).kill()
        figures.kills += 1
    writers.edit(plan, choice, choice.choice((0, 1, 5)))
    for each in writing:
        if (fault := each.answer()) is not None:
            figures.faults.append(fault)
    if stopped is not None:
        os.kill(stopped, signal.SIGCONT)
    if len(writing) < _WRITERS:
        writing.append(Worker(writers.write, plan, _WRITERS + number))
