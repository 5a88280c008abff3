"""Looks for changes, which tell the difference between the file and what was seen of it last.

What was seen last is a database in memory of its own, which a connection to the file attaches: so
SQLite compares the two, and they stay apart where the file has to be opened anew. Nothing is
written to the file.

Invariants:

- The version of the file is asked for first, kept, and only then the file is read, in one
  transaction. A commit between the two is seen, and its version only seems to be new. The other
  way round its version would be taken for that of what was read before it.
- What was seen changes in the transaction that compared it: a look that fails has seen nothing.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from beryl_groups import sqlite
from beryl_groups.bell import Bell
from beryl_groups.changes import Difference
from beryl_groups.locks import held
from beryl_groups.sqlite import connections, seen

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Set

    from beryl_groups.engine import Range
    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.location import Location

    class Store(Protocol):
        """What is needed to have a connection and to speak of it."""

        location: Location

        def refuse_if_closed(self) -> None: ...
        def forget(self, looks: FileLooks) -> None: ...
        def connect(self) -> Connection: ...
        def close_connection(self, connection: Connection) -> None: ...
        def translated(self, error: Exception) -> Exception: ...
        def busy(self) -> Exception: ...


_NOTHING = Difference({}, {})


class FileLooks:
    """The looks of one handle at its file."""

    elsewhere = 0.0

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file = store.location.identity()
        self._bell = Bell()
        self._lock = threading.RLock()
        self._seen: sqlite.driver.Connection | None = None
        self._connection: Connection | None = None
        self._version: int | None = None
        self._ranges: Set[Range] = frozenset()
        self.lost = False

    def wait(self, seconds: float) -> None:
        self._bell.wait(seconds)

    def wake(self) -> None:
        self._bell.ring()

    def look(self, ranges: Set[Range]) -> Difference:
        with self._lock:
            self._store.refuse_if_closed()
            try:
                connection = self._current()
                (version,) = connection.execute("PRAGMA main.data_version").fetchone()
                if version == self._version and ranges == self._ranges:
                    return _NOTHING
                with _transaction(connection):
                    seen.change_ranges(connection, self._ranges, ranges)
                    difference = seen.see(connection)
                    outdated = connection.is_outdated()
                    if not outdated:
                        connection.execute("COMMIT")
            except sqlite.Errors as error:
                self._disconnect()
                if connections.primary_code(error) == sqlite.driver.SQLITE_INTERRUPT:
                    self._store.refuse_if_closed()
                    raise self._store.busy() from error  # by a fork, which is over soon
                raise self._store.translated(error) from error
            if outdated:
                return self.look(ranges)
            self._version, self._ranges = version, ranges
            return difference

    def held(self, names: Container[str]) -> dict[int, tuple[str, frozenset[str]]]:
        with self._lock:
            self._store.refuse_if_closed()
            try:
                connection = self._current()
                groups = connection.execute("SELECT id, name FROM seen.groups").fetchall()
                found = [(id_, name) for id_, name in groups if name in names]
                return {id_: (name, seen.topics(connection, id_)) for id_, name in found}
            except sqlite.Errors as error:
                self._disconnect()
                raise self._store.translated(error) from error

    def disconnect(self) -> None:
        """Let go of the file, and cut a look short that is under way; the next opens it again."""
        self._interrupt()
        with self._lock:
            self._disconnect()

    def close(self) -> None:
        with self._lock:
            self._disconnect()
            if self._seen is not None:
                self._seen.close()
                self._seen = None
        self._store.forget(self)

    @contextmanager
    def paused(self, seconds: float) -> Iterator[bool]:
        """Look at nothing inside the block, with no connection open; False if it takes too long."""
        self._interrupt()
        with held(self._lock, seconds) as in_time:
            if in_time:
                self._disconnect()
            yield in_time

    def abandon(self) -> object:
        """Give up what is open without touching it; return what is open to nobody else."""
        self._lock = threading.RLock()
        seen, self._seen, self._connection = self._seen, None, None
        return seen

    def _interrupt(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(sqlite.Error):  # it has been closed meanwhile
                connection.interrupt()

    def _disconnect(self) -> None:
        self._version = None
        if self._connection is not None:
            self._store.close_connection(self._connection)
            self._connection = None

    def _current(self) -> Connection:
        """Return a connection to the file that is there now, or raise where it is another one."""
        connection = self._connection
        self.lost = self._store.location.identity() != self._file
        if connection is not None and (self.lost or connection.is_outdated()):
            self._disconnect()
            connection = None
        return connection or self._connect()

    def _connect(self) -> Connection:
        connection = self._store.connect()
        try:
            if self._seen is None:
                self._name = f"file:/beryl_groups-{os.urandom(8).hex()}?vfs=memdb"
                self._seen = sqlite.driver.connect(self._name, uri=True, check_same_thread=False)
            connection.execute("ATTACH ? AS seen", (self._name,))
            connection.executescript(seen.TABLES)
            connections.wait_at_most(connection, 0)  # there is a next look
        except BaseException:
            self._store.close_connection(connection)
            raise
        self._connection = connection
        return connection


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
