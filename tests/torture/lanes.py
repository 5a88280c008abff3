"""Calls of several threads, each on groups of its own, and what of them a file may hold.

Each thread has a lane of calls, all on groups that bear the lane's name, so that each lane can be
judged by itself: what there is of it is what there was after one of its calls.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.contract.test_durability import imagine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.contract.test_durability import Call, Model


@dataclass
class Progress:
    """How many calls of each lane have begun, and how many of them were acknowledged."""

    begun: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)


class Lanes:
    """The calls of each lane, and what it holds before the first and after each."""

    def __init__(self, calls: Mapping[str, list[Call]]) -> None:
        self.calls = calls
        self.moments = {lane: _moments(each) for lane, each in calls.items()}

    def faults(self, content: Model, progress: Progress, *, prefix: bool = False) -> Iterator[str]:
        """Say what a file lacks of what was acknowledged, or has and should not.

        With `prefix` the last calls may be missing, though they were acknowledged.
        """
        for lane, moments in self.moments.items():
            acknowledged, begun = progress.acknowledged[lane], progress.begun[lane]
            held = of_lane(lane, content)
            possible = moments[0 if prefix else acknowledged : begun + 1]
            if held not in possible:
                yield (
                    f"{lane} holds {short(held)} where {acknowledged} calls were acknowledged and "
                    f"{begun} begun: {short(possible[0])}"
                )
        if strangers := [name for name in content if not name.startswith(tuple(self.calls))]:
            yield f"there are groups that nobody created: {strangers}"


def of_lane(lane: str, content: Model) -> Model:
    return {name: topics for name, topics in content.items() if name.startswith(lane)}


def short(model: Model | None) -> str:
    text = repr(model)
    return text if len(text) < 500 else f"{text[:300]} ... ({len(text)} characters)"


def _moments(calls: list[Call]) -> list[Model]:
    found: list[Model] = [{}]
    for call in calls:
        model = {name: set(topics) for name, topics in found[-1].items()}
        imagine(model, call)
        found.append(model)
    return found
