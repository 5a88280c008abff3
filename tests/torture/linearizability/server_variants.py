"""The engine of servers slowed down where a race could be lost, or broken on purpose."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from beryl_groups.postgresql import turns, writes
from beryl_groups.postgresql.connections import Connection
from beryl_groups.postgresql.turns import Turn

if TYPE_CHECKING:
    from beryl_groups.postgresql.connections import Step


def slow_between_statements() -> None:
    """The statements that are sent as one are sent one by one, with a pause before each."""
    sound = Connection.run

    def run(self: Connection, *steps: Step) -> list[Any]:
        results = []
        for step in steps:
            if len(steps) > 1:
                time.sleep(random.choice((0, 0.001, 0.003)))
            results += sound(self, step)
        return results

    Connection.run = run  # type: ignore[method-assign]


def slow_to_commit() -> None:
    """A commit is asked for a while after all that it is to hold."""
    sound = Connection.run

    def run(self: Connection, *steps: Step) -> list[Any]:
        if steps[-1] != turns.COMMIT or len(steps) == 1:
            return sound(self, *steps)
        before = sound(self, *steps[:-1])
        time.sleep(random.choice((0, 0.002, 0.005)))
        return before + sound(self, steps[-1])

    Connection.run = run  # type: ignore[method-assign]


def lets_others_into_transactions() -> None:
    """A transaction holds the lock of writers beside others."""
    slow_between_statements()
    sound = Turn.__init__

    def make(self: Turn, *given: Any) -> None:
        sound(self, *given)
        self.alone = self.shared

    Turn.__init__ = make  # type: ignore[method-assign, assignment]


def believes_what_it_saw_before_a_wait() -> None:
    """A group that was not found after a wait is not looked for once more."""
    slow_between_statements()
    writes._is_there = lambda *_: False


def adds_to_what_has_another_name() -> None:
    """The row of the group is not locked, which may be renamed before the topic is there."""
    slow_between_statements()
    writes._HOLD_BESIDE = writes._HOLD_BESIDE.replace(" FOR KEY SHARE", "")
    writes._ADD = writes._ADD_TO_HELD

    def adding(name: str, topics: Any) -> Any:
        return (writes._HOLD_BESIDE, (name,)), (writes._ADD_TO_HELD, (sorted(topics),))

    writes._adding = adding


BROKEN = {
    broken.__name__: broken
    for broken in (
        lets_others_into_transactions,
        believes_what_it_saw_before_a_wait,
        adds_to_what_has_another_name,
    )
}
SLOWED = {slowed.__name__: slowed for slowed in (slow_between_statements, slow_to_commit)}
VARIANTS = BROKEN | SLOWED
