"""The engine of servers slowed down where a race could be lost, or broken on purpose."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from beryl_groups.clock import monotonic
from beryl_groups.postgresql import turns, writes
from beryl_groups.postgresql.connections import Connection
from beryl_groups.postgresql.session import TransactionSession
from beryl_groups.postgresql.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.postgresql.connections import Step

    Run = Callable[..., list[Any]]


def _run_by(pace: Callable[[Connection, tuple[Step, ...], Run], list[Any]]) -> None:
    """Have what is sent together be carried out in another way, in one transaction all the same."""
    sound = Connection.run

    def run(self: Connection, *steps: Step) -> list[Any]:
        if len(steps) == 1:
            return sound(self, *steps)
        if self.in_transaction or steps[0] is turns.BEGIN:
            return pace(self, steps, sound)
        return pace(self, (turns.BEGIN, *steps, turns.COMMIT), sound)[1:-1]

    Connection.run = run  # type: ignore[method-assign]


def slow_between_statements() -> None:
    """The statements that are sent as one are sent one by one, with a pause before each."""

    def pace(connection: Connection, steps: tuple[Step, ...], run: Run) -> list[Any]:
        results = []
        for step in steps:
            time.sleep(random.choice((0, 0.001, 0.003)))
            results += run(connection, step)
        return results

    _run_by(pace)


def slow_to_commit() -> None:
    """A commit is asked for a while after all that it is to hold."""

    def pace(connection: Connection, steps: tuple[Step, ...], run: Run) -> list[Any]:
        results = run(connection, *steps[:-1])
        time.sleep(random.choice((0, 0.002, 0.005)))
        return results + run(connection, steps[-1])

    _run_by(pace)


def commits_each_write_of_a_transaction() -> None:
    """A transaction is committed after each of its writes."""
    sound = TransactionSession.write

    def write(self: TransactionSession, operation: Any, *given: Any) -> Any:
        result = sound(self, operation, *given)
        connection = self._connection
        turns.commit(connection)
        connection.run(turns.BEGIN, Turn("normal", 60).alone(monotonic() + 60))
        return result

    TransactionSession.write = write  # type: ignore[method-assign, assignment]


def locks_no_group() -> None:
    """A call that looks before it writes does so beside others that do."""
    slow_between_statements()
    writes._HOLD_ALONE = writes._HOLD_ALONE.replace(" FOR UPDATE", "")


BROKEN = {
    broken.__name__: broken
    for broken in (
        commits_each_write_of_a_transaction,
        locks_no_group,
    )
}
SLOWED = {slowed.__name__: slowed for slowed in (slow_between_statements, slow_to_commit)}
VARIANTS = BROKEN | SLOWED
