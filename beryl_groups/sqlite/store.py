"""The connections of one handle to one database, and who may use them when."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast

from beryl_groups import sqlite
from beryl_groups.clock import monotonic
from beryl_groups.engine import MISSING, busy
from beryl_groups.errors import Busy, Closed, GroupError, StorageFailed
from beryl_groups.locks import held
from beryl_groups.sqlite import connections, copies, faults, fork, restoring
from beryl_groups.sqlite import errors as sqlite_errors
from beryl_groups.sqlite.cache import Cache
from beryl_groups.sqlite.calls import BatchCall, QueuedCall, TransactionCall
from beryl_groups.sqlite.commits import Writer
from beryl_groups.sqlite.looks import FileLooks
from beryl_groups.sqlite.session import WriteSession
from beryl_groups.sqlite.wal import Wal

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from beryl_groups.calls import Call
    from beryl_groups.sqlite.connections import Connection, Synchronous
    from beryl_groups.sqlite.location import Location

T = TypeVar("T")
Given = TypeVarTuple("Given")

_MOST_IDLE_CONNECTIONS = 8


class Store:
    """One engine: readers that come and go, and a writer that takes turns."""

    def __init__(self, location: Location, busy_timeout: float, synchronous: Synchronous) -> None:
        self.location = location
        self.busy_timeout = busy_timeout
        self.closed: str | None = None
        self.abandoned = False
        self.cache = Cache(self)
        self.find = self.cache.find
        self.find_at_once = self.cache.find_at_once
        self.looks: tuple[FileLooks, ...] = ()
        self._writer = Writer(self, self.cache, Wal(location))
        self._synchronous = synchronous
        # Connections wait here and not in a pool of SQLAlchemy's, from which to borrow one costs
        # as much as a read. All that are open, lent or idle, are in the set.
        self._idle: deque[Connection] = deque()
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._most_idle = _MOST_IDLE_CONNECTIONS
        self.opening = threading.RLock()
        self._file: tuple[int, int] | None = None
        fork.watch(self)

    @property
    def shown(self) -> str:
        return self.location.shown

    def settle(self) -> None:
        """Take the file that is there now for the one that is open."""
        self._file = self.location.identity()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next call, if it is good for that."""
        if connection.lasting and len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            self.close_connection(connection)
        if self.closed is not None:
            self._close_idle()

    def read(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        """Return what an operation reads, from memory where it is certain to be the same."""
        if self.closed is not None:
            raise Closed(self.closed)
        answer = self.cache.find(operation, given)
        if answer is MISSING:
            version = self.cache.version()
            answer = self.read_file(operation, *given)
            self.cache.keep(operation, given, answer, version)
        return cast("T", answer)

    def read_file(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        """Run an operation that only reads."""
        self.refuse_if_closed()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect_or_fail()
        try:
            result = operation(connection, *given)
        except GroupError:
            self.give_back(connection)
            raise
        except sqlite.Errors as error:
            self.close_connection(connection)
            if connection.is_outdated():
                return self.read_file(operation, *given)
            raise self.translated(error) from error
        except BaseException:
            self.close_connection(connection)
            raise
        self.give_back(connection)
        return self.read_file(operation, *given) if connection.is_outdated() else result

    def write(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        return self._writer.run(QueuedCall(self.busy_timeout, operation, given))

    def write_all(self, calls: Sequence[Call[Any]], wait: float) -> None:
        self._writer.run(BatchCall(wait, calls))

    @contextmanager
    def transaction(
        self, wait: float | None = None, thread: int | None = None, *, synced: bool = False
    ) -> Iterator[WriteSession]:
        wait = self.busy_timeout if wait is None else wait
        call = TransactionCall(wait, thread, synced=synced)
        with self._writer.transaction(call) as connection:
            yield WriteSession(connection, call.touched, self.translated)

    def watching(self) -> FileLooks:
        with self.opening:
            self.refuse_if_closed()
            looks = FileLooks(self)
            self.looks = (*self.looks, looks)
            return looks

    def forget(self, looks: FileLooks) -> None:
        """Take note that somebody looks no longer."""
        with self.opening:
            self.looks = tuple([each for each in self.looks if each is not looks])

    def committed(self) -> None:
        """Take note that a commit of this handle can be seen."""
        for looks in self.looks:
            looks.wake()

    def backup(
        self,
        path: str | os.PathLike[str],
        progress: Callable[[int, int, int], None] | None = None,
    ) -> None:
        copies.backup(self, path, progress)

    def restore(
        self, path: str | os.PathLike[str], on_the_way: Callable[[], None] | None = None
    ) -> None:
        self.refuse_if_closed()
        self._writer.refuse_beside_own()
        restoring.restore(self, path, on_the_way)

    def problems(self, on_the_way: Callable[[], None] | None = None) -> list[str]:
        return self.read_file(copies.problems, on_the_way)

    def known_faults(self) -> Iterator[Warning]:
        return faults.known_faults()

    def refuse_if_closed(self) -> None:
        if self.closed is not None:
            raise Closed(self.closed)

    def close(self, reason: str) -> None:
        """Close what is idle; a call that is under way closes its connection when it ends."""
        if self.abandoned:
            return
        if self.closed is None:
            self.closed = reason
        # All of it again where it was closed before: that may have been interrupted.
        self._writer.close(self.closed)
        self.cache.disconnect()
        for looks in self.looks:
            looks.disconnect()
            looks.wake()
        self._close_idle()
        self.location.remove()

    @contextmanager
    def paused(self) -> Iterator[bool]:
        """Have no connection open inside the block; give False where one could not be closed."""
        with ExitStack() as stack:
            stay = 0
            try:
                stack.enter_context(self._writer.paused())
            except GroupError:
                stay = 1  # a transaction is open, for whose end it is no use to wait
            patience = self.busy_timeout
            if not (
                stack.enter_context(self.cache.paused(patience))
                and all(stack.enter_context(looks.paused(patience)) for looks in self.looks)
                and stack.enter_context(held(self.opening, patience))
            ):
                yield False
                return
            self._most_idle = 0
            stack.callback(setattr, self, "_most_idle", _MOST_IDLE_CONNECTIONS)
            deadline = monotonic() + patience
            self._close_idle()
            while len(self._connections) > stay and monotonic() < deadline:
                time.sleep(0.001)
                self._close_idle()
            yield not self._connections

    def abandon(self, reason: str) -> list[object]:
        """Refuse every later call, and give up the connections without touching them.

        Of the threads that held locks none is left in a forked child: the locks are made anew.
        """
        self.abandoned = True
        if self.closed is None:
            self.closed = reason
        self.opening = threading.RLock()
        self._writer.abandon(self.closed)
        self.cache.abandon()
        return [*self._connections, *[looks.abandon() for looks in self.looks]]

    def connect(self) -> Connection:
        """Open a connection and set it up; the errors are the driver's."""
        with self.opening:
            self.refuse_if_closed()
            if self._file is not None and self.location.identity() != self._file:
                self.refuse_if_closed()  # for a close meanwhile removes what is in memory
                # SQLite would take the WAL of the old file for one of the new, and ruin that.
                raise StorageFailed(
                    f"The file {self.location.shown!r} was moved or replaced while it was open: "
                    "close the handle, and open the file anew."
                )
            connection = connections.open_connection(
                self.location, self.busy_timeout, self._synchronous
            )
            self._connections.add(connection)
            return connection

    def connect_to_write(self) -> Connection:
        """Open a connection whose WAL has its name on disk.

        SQLite syncs the folder at the first commit, but takes a sync of it that failed for one
        that did not: after a power cut the WAL could be gone, and all that it held.
        """
        connection = self.connect()
        try:
            connections.wait_at_most(connection, 0)  # who writes waits by itself
            if not isinstance(connection, connections.ReadOnlyConnection):
                self.location.sync_folder()
        except BaseException as error:
            self.close_connection(connection)
            if isinstance(error, OSError):
                reason = f"its folder could not be synced ({error.strerror})"
                message = f"The database {self.location.shown!r} failed: {reason}."
                raise StorageFailed(message) from error
            raise
        return connection

    def close_connection(self, connection: Connection) -> None:
        # In this order: a fork must not find SQLite in the middle of closing what is not counted.
        connection.close()
        self._connections.discard(connection)

    def translated(self, error: Exception) -> Exception:
        """Return the error of ours that tells of an error of the driver, which is its cause."""
        if not isinstance(error, sqlite.Errors):
            return error
        ours: StorageFailed
        if self.closed is not None:
            # It met the end of the connections, or of the files of ":memory:".
            ours = Closed(self.closed)
        else:
            ours = sqlite_errors.translate(error, self.location, self.busy_timeout)
        ours.__cause__ = error
        return ours

    def busy(self, *, by_transaction: bool = False) -> Busy:
        return busy(self.location.shown, self.busy_timeout, by_transaction=by_transaction)

    def _connect_or_fail(self) -> Connection:
        try:
            return self.connect()
        except sqlite.Errors as error:
            raise self.translated(error) from error

    def _close_idle(self) -> None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread had it
                return
            self.close_connection(connection)
