"""The connection that a handle writes through, and what each of its transactions owes to others.

Only the thread of the call that leads touches it (see `commits`).
"""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from beryl_groups import sqlite
from beryl_groups.errors import Busy, GroupError
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.turns import FileTurns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from beryl_groups.sqlite.cache import Cache
    from beryl_groups.sqlite.calls import QueuedCall
    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.wal import Wal

_COMMITS_BETWEEN_LOOKS = 16  # at the length of the WAL


class Connections(Protocol):
    """What is needed to have a connection and to speak of it."""

    busy_timeout: float

    def committed(self) -> None: ...
    def connect_to_write(self) -> Connection: ...
    def close_connection(self, connection: Connection) -> None: ...
    def translated(self, error: Exception) -> Exception: ...
    def busy(self, *, by_transaction: bool = False) -> Busy: ...


class WriteConnection:
    """A connection that is there when it is needed, one transaction after the other."""

    def __init__(self, connections: Connections, cache: Cache, wal: Wal) -> None:
        self._connections = connections
        self._cache = cache
        self._wal = wal
        self._commits = 0
        self._turns = FileTurns()
        self._usual_level: int | None = None
        self.current: Connection | None = None
        """Which may be another one after each call that failed."""

    def begin(self, deadline: float, *, synced: bool = False) -> Connection:
        """Begin a write transaction, and wait for other processes until the deadline.

        One that is `synced` is on disk after its commit, also where other commits need not be.
        """
        connection = self.current
        if isinstance(connection, connections.ReadOnlyConnection):
            self.close()  # by now it may be one to write
            connection = None
        if connection is None:
            connection = self.current = self._connections.connect_to_write()
        if synced:
            (self._usual_level,) = connection.execute("PRAGMA synchronous").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
        self._turns.begin(connection, deadline)
        return connection

    def commit(self, connection: Connection) -> None:
        self._cache.before_commit(connection)
        connection.execute("COMMIT")

    def take_back(self, connection: Connection) -> None:
        """Leave nothing in the file of a commit that failed, which could turn up later."""
        self._cache.after_rollback()
        connections.take_back_commit(connection, self._connections.busy_timeout)

    def tell(self, connection: Connection, calls: Iterable[QueuedCall[Any]]) -> None:
        """Do what has to come after the commit of these calls."""
        self._connections.committed()
        if self._cache.committing:
            self._cache.after_commit(
                connection, chain.from_iterable(call.touches() for call in calls)
            )
        self._commits += 1
        if not self._commits % _COMMITS_BETWEEN_LOOKS:
            self._wal.keep_short(connection)

    def roll_back(self, error: Exception | None = None) -> None:
        """Undo what is not committed; a connection on which storage failed is not used again."""
        connection = self.current
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite.Errors as second:
            error = second
        if error is not None and not isinstance(self._connections.translated(error), Busy):
            self._reconnect(connection)

    def settle(self) -> None:
        """End the turn, in which nothing is under way any more."""
        if self._cache.committing:
            self._cache.after_rollback()
        if self._usual_level is not None:
            self._sync_as_usual(self._usual_level)
            self._usual_level = None
        self._turns.end()

    def _sync_as_usual(self, level: int) -> None:
        with suppress(*sqlite.Errors):  # to go on syncing more than was asked for does no harm
            if self.current is not None:
                self.current.execute(f"PRAGMA synchronous = {level}")

    def close(self) -> None:
        connection = self.current
        if connection is not None:
            try:
                self._connections.close_connection(connection)
            finally:
                self.current = None  # nobody may ask it for anything any more

    def abandon(self) -> None:
        """Give the connection up without touching it."""
        self.current = None

    def _reconnect(self, failed: Connection) -> None:
        """Take another connection, which has to be there before the failed one is closed.

        While one is open SQLite knows where the last commit ends. Whoever opens the file after
        the last was closed, and could not move the WAL into it, takes what a failed sync has left
        there for committed, and nothing would sync it any more.
        """
        try:
            self.current = self._connections.connect_to_write()
        except (*sqlite.Errors, GroupError):
            if failed.in_transaction:
                self.current = None
            # Else it is to be used again, for want of a better one.
        finally:
            try:
                self._close_replaced(failed)
            finally:
                self._close_replaced(failed)

    def _close_replaced(self, failed: Connection) -> None:
        if failed is not self.current:
            self._connections.close_connection(failed)
