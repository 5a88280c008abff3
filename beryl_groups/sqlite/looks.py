"""Looks for changes, which tell the difference between the file and what was seen of it last.

What was seen last is a database in memory of its own, which a connection to the file attaches: so
SQLite compares the two, and they stay apart where the file has to be opened anew. Nothing is
written to the file.

Invariants:

- The version of the file is asked for first, kept, and only then the file is read, in one
  transaction. A commit between the two is seen, and its version only seems to be new. The other
  way round its version would be taken for that of what was read before it.
- What was seen changes in the transaction that compared it: a look that fails has seen nothing.
- Every look compares all that is watched. What the handle knows of its own commits would not do:
  nothing tells whether a snapshot holds a later commit of somebody else as well, of which a look
  at some groups would show a part.
"""

from __future__ import annotations

import math
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from beryl_groups import sqlite
from beryl_groups.bell import Bell
from beryl_groups.changes import Difference
from beryl_groups.errors import StorageFailed
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
_VERSION = "PRAGMA main.data_version"

_TOO_MUCH = (
    "The database {!r} cannot be watched as a whole: what was seen of it takes more than the 1 GiB "
    "that SQLite keeps of it in memory. Watch fewer groups."
)

_SHORTEST_WAIT = 0.001
"""Seconds between two questions for the version, of which one keeps a processor busy for few."""

_PATIENCE = 5.0
"""Seconds to wait for the end of a look that was cut short."""

_LONGEST_WAIT = 0.5
"""Seconds after which there is a look all the same: the file may have been moved or replaced."""


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
        # All that happens while nothing does: each step of it is taken twenty times a second.
        seconds = max(seconds, _SHORTEST_WAIT)
        for _ in range(math.ceil(_LONGEST_WAIT / seconds)):
            if self._bell.wait(seconds) or self._has_news():
                return

    def _has_news(self) -> bool:
        """Tell whether a look may find something; whatever is wrong is for the look to tell."""
        with self._lock:
            connection = self._connection
            if connection is None or connection.is_outdated():
                return True
            try:
                (version,) = connection.execute(_VERSION).fetchone()
            except sqlite.Errors:
                return True
            return bool(version != self._version)

    def wake(self) -> None:
        self._bell.ring()

    def look(self, ranges: Set[Range]) -> Difference:
        with self._lock:
            self._store.refuse_if_closed()
            try:
                connection = self._current()
                (version,) = connection.execute(_VERSION).fetchone()
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
                if connections.primary_code(error) == sqlite.driver.SQLITE_FULL:
                    raise StorageFailed(_TOO_MUCH.format(self._store.location.shown)) from error
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
        with self.paused(_PATIENCE):  # the thread that looks may be gone, with the interpreter
            pass

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
        self.interrupt()
        with held(self._lock, seconds) as in_time:
            if in_time:
                self._disconnect()
            yield in_time

    def abandon(self) -> object:
        """Give up what is open without touching it; return what is open to nobody else."""
        self._lock = threading.RLock()
        seen, self._seen, self._connection = self._seen, None, None
        return seen

    def interrupt(self) -> None:
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
