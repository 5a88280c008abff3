"""One writer at a time, and one commit for all that wait.

SQLite lets one connection write at a time, and a durable commit costs a sync. So the writers of a
handle queue here. Whoever leads carries out, in its own transaction and each call standing or
falling alone, what waits behind it; then it hands the lead to the next.

Invariants:

- At most one call leads (`_leader`), and only its thread touches the write connection.
- A call waits in `_queue`, or is carried by the leader (`_carried`), or leads, or is done.
  It changes places under `_mutex`; the head of the queue may lead already and not know it yet.
- A caller returns only after the commit that holds its call, or with the error of its own call.
- A leader that Ctrl-C interrupts leaves nothing half done: its transaction is rolled back, or was
  committed; what it carried is answered or waits again. `_leave` sees to that, and is called twice.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from beryl_groups import sqlite
from beryl_groups.calls import Call
from beryl_groups.errors import Busy, Closed, GroupError, StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from beryl_groups.cache import Touched
    from beryl_groups.sqlite import Connection

T = TypeVar("T")


class Connections(Protocol):
    """What a writer needs to have its connection and to speak of it."""

    busy_timeout: float

    def connect_to_write(self) -> Connection: ...
    def close_connection(self, connection: Connection) -> None: ...
    def before_commit(self, connection: Connection) -> None: ...
    def after_commit(self, connection: Connection, touched: Iterable[Touched]) -> None: ...
    def after_rollback(self) -> None: ...
    def translated(self, error: Exception) -> Exception: ...
    def busy(self) -> Busy: ...


class Writer:
    """The write connection of a handle, and the queue of those who want it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._connection: Connection | None = None
        # Reentrant, for a signal handler or a finalizer may call in at any point.
        self._mutex = threading.RLock()
        self._leader: Call[Any] | None = None
        self._queue: deque[Call[Any]] = deque()
        self._carried: list[Call[Any]] = []
        self._committing: list[Call[Any]] = []
        self._closed: str | None = None

    def run(self, work: Callable[[Connection], T], touched: Iterable[Touched]) -> T:
        """Do the work in a transaction that is committed when this returns."""
        call = self._call(work, touched)
        try:
            if self._lead(call):
                self._carry_out(call)
        finally:
            try:
                self._leave(call)
            finally:
                self._leave(call)
        return call.outcome()  # type: ignore[no-any-return]

    @contextmanager
    def transaction(self, touched: Iterable[Touched]) -> Iterator[Connection]:
        """Give the connection in a transaction that holds nobody else's call."""
        call: Call[None] = self._call(None, touched)
        try:
            self._lead_alone(call)
            try:
                with self._translating():
                    connection = self._begin(call)
                yield connection
                with self._translating():
                    self._commit(connection, [call])
            except StorageFailed as error:
                self._roll_back(error)
                raise
        finally:
            try:
                self._leave(call)
            finally:
                self._leave(call)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the lead with no connection open."""
        call: Call[None] = self._call(None, ())
        try:
            self._lead_alone(call)
            self._disconnect()
            yield
        finally:
            self._leave(call)

    def close(self, reason: str) -> None:
        """Refuse whoever waits; a call that is being carried out ends as it would have."""
        with self._mutex:
            self._closed = reason
            for call in self._queue:
                if call is not self._leader:
                    call.answer(Closed(reason))
                    call.signal()
            self._queue.clear()
            if self._leader is None:
                self._disconnect()

    def abandon(self, reason: str) -> None:
        """Refuse everyone, in a forked child that has none of the threads that wait here."""
        self._mutex = threading.RLock()
        self._closed = reason
        self._leader = self._connection = None
        self._queue.clear()
        self._carried = []

    def _call(self, work: Callable[[Connection], T] | None, touched: Iterable[Touched]) -> Call[T]:
        call = Call(work, touched, self._connections.busy_timeout)
        leader = self._leader
        if leader is not None and leader.thread == call.thread:
            raise GroupError(
                "This thread has a transaction open, and a write beside it would wait for "
                "itself: write through the object that transaction() gave, or after its block."
            )
        return call

    def _lead(self, call: Call[Any]) -> bool:
        """Wait for the lead and return True, or False where another has carried the call out."""
        with self._mutex:
            if self._closed is not None:
                raise Closed(self._closed)
            if self._leader is None:
                self._leader = call
                return True
            call.wake = threading.Lock()
            call.wake.acquire()
            self._queue.append(call)
        wait = call.time_left()
        while True:
            in_time = call.wake.acquire(timeout=wait)
            with self._mutex:
                if call.done:
                    return False
                waiting = call in self._queue
                if waiting and (self._leader is call or not in_time):
                    self._queue.remove(call)
                if self._leader is call:
                    return True
                if waiting and not in_time:
                    raise self._connections.busy()
                # A call that a leader carries has its answer when that leader's commit ends.
                wait = call.time_left() if waiting else -1

    def _lead_alone(self, call: Call[Any]) -> None:
        """Wait for the lead of a call that nobody else can carry out."""
        if not self._lead(call):
            raise call.error or Closed("The handle has been closed.")

    def _carry_out(self, call: Call[Any]) -> None:
        """Do the call and all that wait, together; or alone, where one spoils it for the others."""
        try:
            connection = self._begin(call)
            self._take_along()
            for each in (call, *self._carried):
                each.attempt(connection)
        except Exception as error:  # noqa: BLE001 - it becomes the answer of a caller
            self._roll_back(error)
            if not self._carried:
                call.answer(self._connections.translated(error))
                return
            for each in (call, *self._carried):
                self._carry_out_alone(each)
        else:
            self._commit_all(connection, [call, *self._carried])

    def _carry_out_alone(self, call: Call[Any]) -> None:
        try:
            connection = self._begin(call)
            call.attempt(connection)
        except Exception as error:  # noqa: BLE001 - it becomes the answer of a caller
            self._roll_back(error)
            call.answer(self._connections.translated(error))
        else:
            self._commit_all(connection, [call])

    def _commit_all(self, connection: Connection, batch: list[Call[Any]]) -> None:
        try:
            self._commit(connection, batch)
        except sqlite.Error as error:
            # A refusal may rest on what another call of the batch had written: it falls as well.
            self._roll_back(error)
            for call in batch:
                call.answer(self._connections.translated(error))

    def _take_along(self) -> None:
        """Carry what waits and may share a transaction with its leader."""
        with self._mutex:
            while self._queue and self._queue[0].work is not None:
                self._carried.append(self._queue[0])
                self._queue.popleft()

    def _begin(self, call: Call[Any]) -> Connection:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connections.connect_to_write()
        if call.wake is None:
            connection.execute("BEGIN IMMEDIATE")
            return connection
        # It has waited for other threads: only what is left of its time is for other processes.
        sqlite.wait_at_most(connection, call.time_left())
        try:
            connection.execute("BEGIN IMMEDIATE")
        finally:
            sqlite.wait_at_most(connection, self._connections.busy_timeout)
        return connection

    def _commit(self, connection: Connection, batch: list[Call[Any]]) -> None:
        if connection is not self._connection:
            raise Closed(self._closed or "The connection is gone.")
        self._connections.before_commit(connection)
        self._committing = batch
        try:
            connection.execute("COMMIT")
        except sqlite.Error:
            self._committing = []
            self._connections.after_rollback()
            sqlite.take_back_commit(connection)
            raise
        for call in batch:
            call.done = True
        self._connections.after_commit(
            connection, [answer for call in batch for answer in call.touched]
        )

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite.Error as error:
            raise self._connections.translated(error) from error

    def _roll_back(self, error: Exception | None = None) -> None:
        """Undo what is not committed; a connection on which storage failed is not used again."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite.Error as second:
            error = second
        if error is not None and not isinstance(self._connections.translated(error), Busy):
            self._reconnect(connection)

    def _reconnect(self, failed: Connection) -> None:
        """Take another connection, which has to be there before the failed one is closed.

        While one is open SQLite knows where the last commit ends. Whoever opens the file after
        the last was closed, and could not move the WAL into it, takes what a failed sync has left
        there for committed, and nothing would sync it any more.
        """
        try:
            self._connection = self._connections.connect_to_write()
        except (sqlite.Error, GroupError):
            if not failed.in_transaction:
                return  # to be used again, for want of a better one
            self._connection = None
        self._connections.close_connection(failed)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connections.close_connection(self._connection)
            self._connection = None

    def _leave(self, call: Call[Any]) -> None:
        """Give up the lead, or the place in the queue."""
        with self._mutex:
            if call.wake is not None and call in self._queue:
                self._queue.remove(call)
            if self._leader is call:
                self._end_lead()
                self._leader = self._queue[0] if self._queue else None
                if self._leader is None and self._closed is not None:
                    self._disconnect()
            if self._queue and self._leader is self._queue[0]:
                self._leader.signal()

    def _end_lead(self) -> None:
        """Settle what the lead was about; each step can be taken again after an interruption."""
        self._connections.after_rollback()  # a commit that ended has nothing left to take back
        if self._connection is not None and self._connection.in_transaction:
            self._committing = []
            self._roll_back()
        for call in self._committing:
            call.done = True
        undone = [call for call in self._carried if not (call.done or call in self._queue)]
        self._queue.extendleft(reversed(undone))
        for call in self._carried:
            call.signal()
        self._carried, self._committing = [], []
