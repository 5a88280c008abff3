"""What is right and wrong with the files that a power cut left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import beryl_groups
from tests.test_durability import contents
from tests.torture.powercut.workloads import DATABASE, WORKLOADS, moments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.test_durability import Call, Model
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


@dataclass
class Progress:
    """How far each lane had come when the power went."""

    begun: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)

    def hear(self, record: Record) -> None:
        if record.kind == "M":
            what, lane = record.text.split(" ", 1)
            (self.begun if what == "begin" else self.acknowledged)[lane] += 1

    def key(self) -> tuple[frozenset[tuple[str, int]], frozenset[tuple[str, int]]]:
        return frozenset(self.begun.items()), frozenset(self.acknowledged.items())


class Judge:
    """Says what is wrong with what is found, given what had been begun and acknowledged."""

    def __init__(self, name: str, lanes: dict[str, list[Call]]) -> None:
        self._lanes = lanes
        self._moments = {lane: moments(calls) for lane, calls in lanes.items()}
        self._prefix = WORKLOADS[name].synchronous == "normal"

    def faults(self, found: dict[str, Found], progress: Progress) -> Iterator[str]:
        for name, database in found.items():
            for problem in database.problems:
                yield f"{name}: {problem}"
            if name == DATABASE and database.content is not None:
                yield from self._faults_of_content(database.content, progress)
        for lane, calls in self._lanes.items():
            for turn, call in enumerate(calls):
                if call[0] == "backup":
                    yield from self._faults_of_copy(lane, turn, call[1][0], found, progress)

    def _faults_of_content(self, content: Model, progress: Progress) -> Iterator[str]:
        for lane in self._lanes:
            held = {name: topics for name, topics in content.items() if name.startswith(lane)}
            oldest = 0 if self._prefix else progress.acknowledged[lane]
            possible = self._moments[lane][oldest : progress.begun[lane] + 1]
            if held not in possible:
                yield (
                    f"{lane} holds {_short(held)} where {progress.acknowledged[lane]} calls were "
                    f"acknowledged and {progress.begun[lane]} begun: {_short(possible[0])}"
                )
        if strangers := [name for name in content if not name.startswith(tuple(self._lanes))]:
            yield f"there are groups that nobody created: {strangers}"

    def _faults_of_copy(
        self, lane: str, turn: int, name: str, found: dict[str, Found], progress: Progress
    ) -> Iterator[str]:
        if name not in found:
            if progress.acknowledged[lane] > turn:
                yield f"the backup {name} had been made and is gone"
        elif found[name].content != self._moments[lane][turn]:
            yield f"the backup {name} holds {_short(found[name].content)}"


def _short(model: Model | None) -> str:
    text = repr(model)
    return text if len(text) < 500 else f"{text[:300]} ... ({len(text)} characters)"
