"""What is right and wrong with the files that a power cut left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import beryl_groups
from tests.contract.test_durability import contents
from tests.torture.lanes import short
from tests.torture.powercut.workloads import DATABASE, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.test_durability import Model
    from tests.torture.lanes import Lanes, Progress
    from tests.torture.storage import Record


@dataclass(frozen=True)
class Found:
    """What a database holds, once it has been opened."""

    content: Model | None
    problems: list[str]


def look(path: Path) -> Found:
    """Open a database as an application would, and write to it."""
    try:
        with beryl_groups.start(path) as groups:
            found = Found(contents(groups), groups.check())
            groups.create("afterwards")
            return found
    except Exception as error:
        return Found(None, [f"{type(error).__name__}: {error}"])


def hear(progress: Progress, record: Record) -> None:
    """Take note of a call that begins or has ended."""
    if record.kind == "M":
        what, lane = record.text.split(" ", 1)
        (progress.begun if what == "begin" else progress.acknowledged)[lane] += 1


class Judge:
    """Says what is wrong with what is found, given what had been begun and acknowledged."""

    def __init__(self, name: str, lanes: Lanes) -> None:
        self._lanes = lanes
        self._prefix = WORKLOADS[name].synchronous == "normal"

    def faults(self, found: dict[str, Found], progress: Progress) -> Iterator[str]:
        for name, database in found.items():
            for problem in database.problems:
                yield f"{name}: {problem}"
            if name == DATABASE and database.content is not None:
                yield from self._lanes.faults(database.content, progress, prefix=self._prefix)
        for lane, calls in self._lanes.calls.items():
            for turn, call in enumerate(calls):
                if call[0] == "backup":
                    yield from self._faults_of_copy(lane, turn, call[1][0], found, progress)

    def _faults_of_copy(
        self, lane: str, turn: int, name: str, found: dict[str, Found], progress: Progress
    ) -> Iterator[str]:
        if name not in found:
            if progress.acknowledged[lane] > turn:
                yield f"the backup {name} had been made and is gone"
        elif found[name].content != self._lanes.moments[lane][turn]:
            yield f"the backup {name} holds {short(found[name].content)}"
