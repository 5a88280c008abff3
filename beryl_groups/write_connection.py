"""The connection that a handle writes through, and what each of its transactions owes to others.

Only the thread of the call that leads touches it (see `commits`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from beryl_groups import sqlite
from beryl_groups.errors import Busy, GroupError
from beryl_groups.file_turns import FileTurns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from beryl_groups.cache import Cache, Touched
    from beryl_groups.sqlite import Connection
    from beryl_groups.wal import Wal


class Connections(Protocol):
    """What is needed to have a connection and to speak of it."""

    busy_timeout: float

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
        self._turns = FileTurns()
        self._connection: Connection | None = None

    def begin(self, deadline: float) -> Connection:
        """Begin a write transaction, and wait for other processes until the deadline."""
        connection = self._connection
        if isinstance(connection, sqlite.ReadOnlyConnection):
            self.close()  # by now it may be one to write
            connection = None
        if connection is None:
            connection = self._connection = self._connections.connect_to_write()
        self._turns.begin(connection, deadline)
        return connection

    def holds(self, connection: Connection) -> bool:
        """Tell whether it still is the connection that `begin` gave."""
        return connection is self._connection

    def commit(self, connection: Connection) -> None:
        self._cache.before_commit(connection)
        connection.execute("COMMIT")

    def take_back(self, connection: Connection) -> None:
        """Leave nothing in the file of a commit that failed, which could turn up later."""
        self._cache.after_rollback()
        sqlite.take_back_commit(connection, self._connections.busy_timeout)

    def tell(self, connection: Connection, touched: Iterable[Touched]) -> None:
        """Do what has to come after the commit."""
        self._cache.after_commit(connection, touched)
        self._wal.after_commit(connection)

    def roll_back(self, error: Exception | None = None) -> None:
        """Undo what is not committed; a connection on which storage failed is not used again."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite.Errors as second:
            error = second
        if error is not None and not isinstance(self._connections.translated(error), Busy):
            self._reconnect(connection)

    def is_under_way(self) -> bool:
        """Tell whether a transaction is open, and so its commit has not come about."""
        return self._connection is not None and self._connection.in_transaction

    def settle(self) -> None:
        """End the turn, in which nothing is under way any more."""
        self._cache.after_rollback()  # a commit that ended has nothing left to take back
        self._turns.end()

    def close(self) -> None:
        if self._connection is not None:
            self._connections.close_connection(self._connection)
            self._connection = None

    def abandon(self) -> None:
        """Give the connection up without touching it."""
        self._connection = None

    def _reconnect(self, failed: Connection) -> None:
        """Take another connection, which has to be there before the failed one is closed.

        While one is open SQLite knows where the last commit ends. Whoever opens the file after
        the last was closed, and could not move the WAL into it, takes what a failed sync has left
        there for committed, and nothing would sync it any more.
        """
        try:
            self._connection = self._connections.connect_to_write()
        except (*sqlite.Errors, GroupError):
            if failed.in_transaction:
                self._connection = None
            # Else it is to be used again, for want of a better one.
        finally:
            try:
                self._close_replaced(failed)
            finally:
                self._close_replaced(failed)

    def _close_replaced(self, failed: Connection) -> None:
        if failed is not self._connection:
            self._connections.close_connection(failed)
