"""The engine of servers slowed down where a race could be lost, or broken on purpose."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from beryl_groups.postgresql import turns, writes
from beryl_groups.postgresql.connections import Connection
from beryl_groups.postgresql.session import TransactionSession
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


def commits_each_write_of_a_transaction() -> None:
    """A transaction is committed after each of its writes."""
    sound = TransactionSession.write

    def write(self: TransactionSession, operation: Any, *given: Any) -> Any:
        result = sound(self, operation, *given)
        connection = self._connection
        turns.commit(connection)
        connection.run(turns.BEGIN, (Turn("normal").alone, ("60000",)))
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
