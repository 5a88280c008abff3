"""Looks for changes, which tell the difference between the database and what was seen of it last.

A look first asks which transactions of the server have ended: where that is what it was, nothing
has changed. So it is one short question every `interval`, and the groups are compared where
somebody has committed something since. ``NOTIFY`` would save the question, and have all writers
commit one after the other: of 5,000 commits a second on 16 connections it left 1,000.

Each look is as of one moment, and what it saw is kept when its transaction is over: one that fails
has seen nothing.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from beryl_groups.bell import Bell
from beryl_groups.changes import Difference
from beryl_groups.errors import StorageFailed
from beryl_groups.postgresql.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Set

    from beryl_groups.engine import Range
    from beryl_groups.postgresql.connections import Connection
    from beryl_groups.postgresql.database import Database

# Ids of transactions that have begun: the first that has not ended, the first that has not begun,
# and those between that have not ended. No commit can happen without a change of it. A standby does
# not tell those between: there it is how much of the log it has replayed, which may grow between
# the snapshot of a statement and its answer, so that only what was told before a look is of use.
_MOMENT = """
    SELECT pg_current_snapshot()::text,
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END
"""
_GONE = {"3F000", "42P01"}

_SECONDS_OF_A_MEMBERSHIP = 0.5e-6
"""What the server takes for it in a look, about."""

_SECONDS_TO_CANCEL = 1.0

_NOTHING = Difference({}, {})


class ServerLooks:
    """The looks of one handle."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bell = Bell()
        self._moment: tuple[str, str | None] | None = None
        self._seen = Seen()
        self._lock = threading.RLock()
        self._asked: Connection | None = None
        self._interrupted = False
        self.lost = False
        self.elsewhere = 0.0

    def wait(self, seconds: float) -> None:
        self._bell.wait(seconds)

    def wake(self) -> None:
        self._bell.ring()

    def look(self, ranges: Set[Range]) -> Difference:
        self.elsewhere = 0.0
        try:
            return self._database.read(self._look, ranges)
        except StorageFailed as error:
            self.lost = getattr(error.__cause__, "sqlstate", None) in _GONE
            raise

    def interrupt(self) -> None:
        with self._lock:
            connection = self._asked
            if connection is not None and connection.driver is not None:
                self._interrupted = True
                with suppress(psycopg.Error):  # then the look takes its time
                    connection.driver.cancel_safe(timeout=_SECONDS_TO_CANCEL)

    def held(self, names: Container[str]) -> dict[int, tuple[str, frozenset[str]]]:
        self._database.refuse_if_closed()
        return self._seen.held(names)

    def close(self) -> None:
        self._database.forget(self)
        self._moment, self._seen = None, Seen()

    def _look(self, connection: Connection, ranges: Set[Range]) -> Difference:
        ((moment, replayed),) = connection.rows(_MOMENT)
        if (moment, replayed) == self._moment and ranges == self._seen.ranges:
            return _NOTHING
        with self._interruptible(connection), connection.moment():
            ((moment, _),) = connection.rows(_MOMENT)
            difference, seen = self._seen.see(connection, ranges)
        self.elsewhere = seen.memberships * _SECONDS_OF_A_MEMBERSHIP
        self._moment, self._seen = (moment, replayed), seen
        return difference

    @contextmanager
    def _interruptible(self, connection: Connection) -> Iterator[None]:
        """Have the connection be one to interrupt; after that it is not good for another call.

        The server may come to it late, and would cancel what it is asked then.
        """
        self._asked = connection
        try:
            yield
        finally:
            with self._lock:
                self._asked = None
                interrupted, self._interrupted = self._interrupted, False
        if interrupted:
            raise psycopg.errors.QueryCanceled("The look was interrupted.")
