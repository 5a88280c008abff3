"""Lives of a file: turn after turn processes use it until they are killed, and it is judged."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups import revisions
from tests import processes
from tests.processes import PATIENCE
from tests.sqlite.revisions import installed, with_next
from tests.sqlite.test_migrations_interrupted import REBUILD, WRITE_MUCH
from tests.torture.kill import judge
from tests.torture.kill.judge import Fault
from tests.torture.kill.program import SHARED
from tests.torture.kill.victim import END, Plan, work

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from tests.contract.test_durability import Model


@dataclass
class Figures:
    """What came of it."""

    kills: int = 0
    calls: int = 0
    drafts: int = 0
    interrupted: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.kills:,} kills, {len(self.faults):,} faults"


class Victim:
    """A process, and what it has told so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._reader, writer = processes.context.Pipe(duplex=False)
        self._process: BaseProcess = processes.start(work, plan, writer)
        writer.close()
        self.notes = b""
        self.silent = False

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        while not self.silent:
            self._hear()
        self._reader.close()
        if self.plan.failure.exists():
            raise Fault(f"a call failed:\n{self.plan.failure.read_text()}")
        processes.finish_killed(self._process)

    def give_up(self) -> None:
        """Leave no process behind, whatever happened to the one that started it."""
        if not self._reader.closed:
            self._process.kill()
            self._reader.close()

    def _hear(self) -> None:
        heard = os.read(self._reader.fileno(), 65536)
        self.notes += heard
        self.silent = not heard

    @staticmethod
    def hear(victims: list[Victim], seconds: float) -> bool:
        """Take down what processes tell, for so long at the most; False where one has failed."""
        by_reader = {each._reader: each for each in victims}
        for reader in wait(list(by_reader), max(seconds, 0)):
            assert isinstance(reader, Connection)
            by_reader[reader]._hear()
        return not any(each.silent for each in victims)


class Life:
    """A file from its first opening on, in a folder of its own."""

    def __init__(self, folder: Path, seed: str, package: Path, broken: str | None) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._next, self._broken = package, broken
        self._package: Path | None = None
        self._path = folder / "life" / "groups.db"
        self._copies = folder / "copies"
        for each in (self._path.parent, self._copies, folder / "failures"):
            each.mkdir()
        self._settled: Model = {}
        self._opened = False
        self._victims: list[Victim] = []

    def live(self, references: dict[str, list[object]], figures: Figures, kills: int) -> None:
        """Go on for some turns, or until there are so many kills."""
        turns = self._random.randrange(2, 7)
        upgrade = self._random.randrange(1, 2 * turns)
        for turn in range(turns):
            if figures.kills >= kills:
                return
            opening = "first open" if not self._opened else "open"
            legal = [references[revisions.HEAD if self._package is None else "next"]]
            if not self._opened:
                legal.append([])
            if turn == upgrade and self._opened:
                opening, self._package = "migration", self._next
                legal.append(references["next"])
            try:
                self._turn(turn, opening, legal, figures, kills - figures.kills)
            finally:
                for victim in self._victims:
                    victim.give_up()

    def _turn(
        self, turn: int, opening: str, legal: list[list[object]], figures: Figures, kills: int
    ) -> None:
        choice = self._random
        self._victims = [
            Victim(
                Plan(
                    self._seed,
                    f"{turn}.{number}",
                    self._path,
                    self._copies,
                    threads=choice.choice((1, 1, 2, 4)),
                    synchronous=choice.choice(("full", "normal")),
                    shared=SHARED in self._settled,
                    package=self._package,
                    broken=self._broken,
                )
            )
            for number in range(min(choice.choice((1, 2, 3)), kills))
        ]
        alive = list(self._victims)
        while alive:
            self._wait_for_the_moment(alive, opening)
            alive.pop(choice.randrange(len(alive))).kill()
            figures.kills += 1
        self._judge(opening, legal, figures)

    def _wait_for_the_moment(self, alive: list[Victim], opening: str) -> None:
        """Have each process go on a bit, and then some moments pass."""
        choice = self._random
        early = opening != "open" and choice.random() < 0.7
        notes = 2 if early else int(2 * 20 ** choice.random())
        deadline = time.monotonic() + PATIENCE
        wanted = {each: len(each.notes) + notes for each in alive}
        while waiting := [each for each in alive if len(each.notes) < wanted[each]]:
            if not Victim.hear(alive, deadline - time.monotonic()):
                return
            if time.monotonic() > deadline:
                raise Fault(f"{waiting[0].plan.name} hangs")
        end = time.monotonic() + choice.random() ** 2 * (0.15 if early else 0.02)
        while (left := end - time.monotonic()) > 0:
            if not Victim.hear(alive, left):
                return

    def _judge(self, opening: str, legal: list[list[object]], figures: Figures) -> None:
        threads = []
        for victim in self._victims:
            told, openings = judge.testimonies(victim.plan, victim.notes)
            threads += told
            if openings.count(END):
                self._opened = True
                legal = legal[-1:] if opening == "migration" else legal[:1]
            figures.interrupted.update(judge.interrupted(told, openings, opening))
        figures.calls += sum(thread.calls for thread in threads)
        if self._random.random() < 0.5 and self._path.exists():
            judge.expect_sound(self._path, legal)
        found = judge.content(self._path, self._package)
        judge.expect_content(found, self._settled, threads)
        judge.expect_sound(self._path, legal[-1:] if opening == "migration" else legal[:1])
        if (left := [each.name for each in self._path.parent.iterdir()]) != [self._path.name]:
            raise Fault(f"left beside the file: {sorted(left)}")
        figures.drafts += judge.expect_copies(self._copies, threads, self._package)
        for copied in self._copies.iterdir():
            copied.unlink()
        self._settle(found)

    def _settle(self, found: Model) -> None:
        """Take what is there for given, and begin what the next turns need."""
        self._opened = True
        if SHARED not in found:
            with installed(self._package), beryl_groups.start(self._path) as groups:
                groups.create(SHARED)
            found[SHARED] = set()
        self._settled = found


def run(folder: Path, seed: int, kills: int, broken: str | None = None) -> Figures:
    """Have so many processes killed, or until a fault is found."""
    figures = Figures()
    package = with_next(folder, f"{WRITE_MUCH}\n{REBUILD}")
    references = judge.revisions(folder, package)
    number = 0
    while figures.kills < kills and not figures.faults:
        place = folder / str(number)
        place.mkdir()
        try:
            life = Life(place, f"{seed}, {number}", package, broken)
            life.live(references, figures, kills)
        except (Fault, AssertionError) as fault:
            figures.faults.append(f"life {number}: {fault}")
        number += 1
    return figures
