"""How a write stands to the writes of others: one transaction, and the locks that it takes first.

A single write holds an advisory lock shared, a transaction of a user holds it alone; so a block
sees nobody else's writes, and single writes run beside each other, in the order of row locks. Both
are of the transaction, not of the session, so a pooler may stand between.

The lock is taken by a statement of its own. Each statement sees what had been committed when it
began, so those after it see all that the wait was for. What the server, the role or a neighbour on
a pooler's connection says must not make a write less durable, nor let it wait for ever: a
connection is told once, and behind a pooler, or where little time is left, each transaction is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import psycopg

from beryl_groups.clock import monotonic
from beryl_groups.postgresql.connections import LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.postgresql.connections import Connection, Step

WRITERS = 0x626572796C5F6772
"""The number of the lock of those who write; it spells "beryl_gr"."""

BEGIN: Step = ("BEGIN ISOLATION LEVEL READ COMMITTED", ())
COMMIT: Step = ("COMMIT", ())
ROLLBACK: Step = ("ROLLBACK", ())

# With "on" a commit is on the server's disk, and on that of its synchronous standbys, if it has
# any. Where the server is set to more than that (remote_apply), it stays so.
_COMMITS = {
    "full": (
        "CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') "
        "THEN 'on' ELSE current_setting('synchronous_commit') END"
    ),
    "normal": "'off'",
}


class UnknownError(Exception):
    """The connection broke when a commit had been asked for, and was not answered."""


_NEARLY_ALL = 0.98
"""A call of which so much time is left waits for locks as long as its connection was told to."""


class Turn:
    """What a handle says first on each connection, and in each transaction that writes."""

    def __init__(self, synchronous: Literal["full", "normal"], patience: float) -> None:
        settings = (
            "SELECT set_config('lock_timeout', $1, {0}), "
            f"set_config('synchronous_commit', {_COMMITS[synchronous]}, {{0}}), "
        )
        isolation = "set_config('default_transaction_isolation', 'read committed', false)"
        self.session: Step = (settings.format("false") + isolation, (milliseconds(patience),))
        self._patience = patience
        self._shared_as_told: Step = (f"SELECT pg_advisory_xact_lock_shared({WRITERS})", ())
        self._shared = f"{settings.format('true')}pg_advisory_xact_lock_shared({WRITERS})"
        self._alone = f"{settings.format('true')}pg_advisory_xact_lock({WRITERS})"

    def shared(self, connection: Connection, deadline: float) -> Step:
        left = deadline - monotonic()
        if connection.is_direct and self._patience * _NEARLY_ALL < left <= self._patience:
            return self._shared_as_told
        return self._shared, (milliseconds(left),)

    def alone(self, deadline: float) -> Step:
        return self._alone, (milliseconds(deadline - monotonic()),)


def milliseconds(seconds: float) -> str:
    """Return a time as lock_timeout has it, where 0 would be for ever."""
    return str(min(max(int(seconds * 1000), 1), 2**31 - 1))


class WithdrawnError(Exception):
    """Nobody waits for the write any more, and nothing of it has been sent."""


class Attempt:
    """One write on one connection, until its time is over.

    Who may lose interest while others write, as a task that is cancelled does, gives what is to
    claim the write. It is called when the wait for their transactions is over, for which the lock
    is taken in a round trip of its own.
    """

    __slots__ = ("_claim", "_deadline", "_turn", "connection")

    def __init__(
        self,
        connection: Connection,
        turn: Turn,
        deadline: float,
        claim: Callable[[], bool] | None = None,
    ) -> None:
        self.connection = connection
        self._turn = turn
        self._deadline = deadline
        self._claim = claim

    def commit(self, *steps: Step) -> list[list[tuple[Any, ...]]]:
        """Carry out the steps in one transaction and one round trip; return the rows of each."""
        connection = self.connection
        before: tuple[Step, ...] = ()
        after: tuple[Step, ...] = (COMMIT,)
        if self._claim is not None:
            self.begin()
        elif connection.is_direct:
            before, after = (self._first(),), ()
        else:
            # A pooler's connection may have another isolation level by default.
            before = (BEGIN, self._first())
        every = (*before, *steps, *after)
        try:
            results = connection.run(*every)
        except LostError as error:
            if error.failed is None or every[error.failed] is COMMIT:
                raise UnknownError(str(error)) from error
            raise
        asked_for = results[len(before) : len(before) + len(steps)]
        return [connection.rows_of(result) for result in asked_for]

    def begin(self, *steps: Step) -> list[list[tuple[Any, ...]]]:
        """Do what `commit` does, and leave it to `end` to commit."""
        results = self.connection.run(BEGIN, self._first(), *(() if self._claim else steps))[2:]
        if self._claim is not None:
            if not self._claim():
                raise WithdrawnError
            results = self.connection.run(*steps) if steps else []
        return [self.connection.rows_of(result) for result in results]

    def begin_alone(self) -> None:
        """Begin a transaction that nobody writes beside."""
        self.connection.run(BEGIN, self._turn.alone(self._deadline))

    def end(self) -> None:
        commit(self.connection)

    def look_again(self) -> None:
        """Let a write be tried anew that others came in between of, or raise where it took long."""
        if monotonic() >= self._deadline:
            raise OvertakenError

    def _first(self) -> Step:
        return self._turn.shared(self.connection, self._deadline)


class OvertakenError(Exception):
    """Others have always come in between."""


def commit(connection: Connection) -> None:
    """Commit what is open, or raise where nothing of it is stored."""
    had_ended = connection.is_stale()  # so it says why, and has not heard of a commit
    if connection.has_failed:  # and who met the error has let it pass: the server would not say so
        raise psycopg.errors.InFailedSqlTransaction("the server undoes it")
    try:
        connection.run(COMMIT)
    except LostError as error:
        if not (had_ended and error.failed == 0):
            raise UnknownError(str(error)) from error
        raise
