"""What is to fail in which life, and a look from outside at what each life has on its disk."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import beryl_groups
from tests.contract.test_durability import contents
from tests.torture import storage
from tests.torture.faults import life
from tests.torture.faults.life import DATABASE, Plan, first_calls, shared_calls
from tests.torture.lanes import Lanes, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random
    from subprocess import Popen

_NAMES = dict(zip(storage.CLASSES, ("write", "sync", "truncate", "open", "entry"), strict=True))


@dataclass
class Figures:
    """How many lives there were, and what was wrong with them."""

    lives: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.lives += other.lives
        self.failures.update(other.failures)
        self.looks += other.looks
        self.faults += other.faults


def everything(random: Random) -> list[Plan]:
    """Return a plan for each operation of a life, with each error, once and from then on."""
    with storage.scratch() as scratch:
        counts = _Lives(scratch, "").count()
    return [
        Plan(kind, skip, error, on, random.randint(1, 4))
        for kind, count in zip(storage.CLASSES, counts, strict=True)
        for skip in range(count + 2)
        for name, error in storage.ERRORS.items()
        if name != "short write" or kind == storage.WRITE
        for on in (False, True)
    ]


def run(plans: Sequence[Plan], broken: str = "") -> Figures:
    """Live each plan in one process, one after the other."""
    with storage.scratch() as scratch:
        return _Lives(scratch, broken).run(plans)


class _Lives:
    def __init__(self, scratch: Path, broken: str) -> None:
        self._scratch = scratch
        self._broken = broken
        self._folder = scratch / "databases"
        self._folder.mkdir()
        self._figures = Figures()
        self._lanes = Lanes({**first_calls().calls, **shared_calls().calls})

    def count(self) -> list[int]:
        """Return how many operations of each class there are in a life in which nothing fails."""
        with storage.preloaded(self._folder, None, life.__name__, str(self._folder), "") as process:
            result = self._live(process, Plan(0, 0, 0, on=False, patience=0))
            process.communicate()
        return list(result["seen"])

    def run(self, plans: Sequence[Plan]) -> Figures:
        words = (str(self._folder), self._broken)
        with storage.preloaded(self._folder, None, life.__name__, *words) as process:
            for plan in plans:
                result = self._live(process, plan)
                self._figures.lives += 1
                self._figures.failures.update(result["failures"])
                if result["fault"]:
                    self._figures.faults.append(f"{shown(plan)}: {result['fault']}")
            process.communicate()
        return self._figures

    def _live(self, process: Popen[str], plan: Plan) -> dict[str, Any]:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(asdict(plan)) + "\n")
        stdin.flush()
        for line in stdout:
            said: dict[str, Any] = json.loads(line)
            if "look" not in said:
                return said
            self._figures.faults += [f"{shown(plan)}: {fault}" for fault in self._look(said)]
            stdin.write("\n")
            stdin.flush()
        raise EOFError("the process of a life has ended in the middle of it")

    def _look(self, said: dict[str, Any]) -> Iterator[str]:
        """Open a copy of the files as they are, as after a crash."""
        self._figures.looks += 1
        there = Path(said["look"]).parent
        here = self._scratch / "copy"
        shutil.copytree(there, here, ignore=shutil.ignore_patterns("*-shm"))
        progress = Progress(Counter(said["begun"]), Counter(said["acknowledged"]))
        try:
            with beryl_groups.start(here / DATABASE) as groups:
                yield from self._lanes.faults(contents(groups), progress)
                yield from groups.check()
                groups.create("afterwards")
        except Exception as error:
            yield f"it does not open any more: {type(error).__name__}: {error}"
        shutil.rmtree(here)


def shown(plan: Plan) -> str:
    error = next((name for name, number in storage.ERRORS.items() if number == plan.error), "none")
    onward = f" and all after it, for {plan.patience} failed calls" if plan.on else ""
    return f"{error} at {_NAMES.get(plan.kind, 'nothing')} {plan.skip}{onward}"
