"""One writer at a time, and one commit for all that wait.

SQLite lets one connection write at a time, and a durable commit costs a sync. So the writers of a
handle queue here. Whoever leads carries out, in its own transaction and each call standing or
falling alone, what waits behind it; then it hands the lead to the next. Where nobody waits, that
costs next to nothing.

Invariants:

- At most one call leads (`_leader`), and only its thread touches the write connection.
- A call waits in `_queue`, or is carried by the leader (`_carried`), or leads, or is done.
  It changes places under `_mutex`; the head of the queue may lead already and not know it yet.
- A caller returns only after the commit that holds its call, or with the error of its own call.
- A leader that Ctrl-C interrupts leaves nothing half done: its transaction is rolled back, or was
  committed; what it carried is answered or waits again. `_leave` sees to that, and is called
  again where it was interrupted itself.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from beryl_groups import sqlite
from beryl_groups.engine import BESIDE_OWN
from beryl_groups.errors import Closed, GroupError, StorageFailed
from beryl_groups.sqlite.calls import QueuedCall, TransactionCall
from beryl_groups.sqlite.write_connection import WriteConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beryl_groups.sqlite.cache import Cache
    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.wal import Wal
    from beryl_groups.sqlite.write_connection import Connections

T = TypeVar("T")


class Writer:
    """The write connection of a handle, and the queue of those who want it."""

    def __init__(self, connections: Connections, cache: Cache, wal: Wal) -> None:
        self._connections = connections
        self._connection = WriteConnection(connections, cache, wal)
        # Reentrant, for a signal handler or a finalizer may call in at any point.
        self._mutex = threading.RLock()
        self._leader: QueuedCall[Any] | None = None
        self._queue: deque[QueuedCall[Any]] = deque()
        self._carried: list[QueuedCall[Any]] = []
        self._committing: list[QueuedCall[Any]] = []
        self._closed: str | None = None

    def run(self, call: QueuedCall[T]) -> T:
        """Do the call in a transaction that is committed when this returns."""
        try:
            try:
                if self._lead(call):
                    self._carry_out(call)
            finally:
                self._leave(call)
        finally:
            if not call.left:
                self._leave(call)
        return call.result if call.error is None else call.outcome()  # type: ignore[no-any-return]

    @contextmanager
    def transaction(self, call: TransactionCall) -> Iterator[Connection]:
        """Give the connection in a transaction that holds nobody else's call."""
        try:
            try:
                self._lead_alone(call)
                try:
                    with self._translating():
                        connection = self._connection.begin(call.deadline, synced=call.synced)
                    yield connection
                    with self._translating():
                        self._commit(connection, [call])
                except StorageFailed as error:
                    self._connection.roll_back(error)
                    raise
            finally:
                self._leave(call)
        finally:
            if not call.left:
                self._leave(call)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the lead with no connection open; after a close nobody else can take it."""
        call: QueuedCall[None] = QueuedCall(self._connections.busy_timeout, None)
        self.refuse_beside_own()
        if self._closed is not None:
            self._wait_for_the_last(call)
            yield
            return
        try:
            try:
                self._lead_alone(call)
                self._connection.close()
                yield
            finally:
                self._leave(call)
        finally:
            if not call.left:
                self._leave(call)

    def _wait_for_the_last(self, call: QueuedCall[None]) -> None:
        while self._leader is not None:
            if not call.time_left():
                raise self._connections.busy()
            time.sleep(0.001)

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
                self._connection.close()

    def abandon(self, reason: str) -> None:
        """Refuse everyone, in a forked child that has none of the threads that wait here."""
        self._mutex = threading.RLock()
        self._closed = reason
        self._leader = None
        self._connection.abandon()
        self._queue.clear()
        self._carried = []

    def _lead(self, call: QueuedCall[Any]) -> bool:
        """Wait for the lead and return True, or False where another has carried the call out."""
        with self._mutex:
            if self._closed is not None:
                raise Closed(self._closed)
            if self._leader is None:
                self._leader = call
                return True
            self.refuse_beside_own()
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
                    leader = self._leader
                    by_transaction = isinstance(leader, TransactionCall)
                    raise self._connections.busy(by_transaction=by_transaction)
                # A call that a leader carries has its answer when that leader's commit ends.
                wait = call.time_left() if waiting else -1

    def refuse_beside_own(self) -> None:
        """Raise where this thread would wait for itself."""
        with self._mutex:
            leader, thread = self._leader, threading.get_ident()
            waits = any(call.thread == thread for call in self._queue)
        if leader is not None and leader.thread == thread:
            raise GroupError(BESIDE_OWN)
        if waits:
            raise GroupError(
                "This thread waits to write already, and a write of its signal handler would wait "
                "for that: have the handler leave the write to another thread."
            )

    def _lead_alone(self, call: QueuedCall[Any]) -> None:
        """Wait for the lead of a call that nobody else can carry out."""
        if not self._lead(call):
            call.outcome()
            raise Closed("The handle has been closed.")

    def _carry_out(self, call: QueuedCall[Any]) -> None:
        """Do the call and all that wait, together; or alone, where one spoils it for the others."""
        try:
            connection = self._connection.begin(call.deadline)
            if self._queue:
                self._take_along()
            for each in (call, *self._carried):
                each.attempt(connection)
        except Exception as error:  # noqa: BLE001 - it becomes the answer of a caller
            self._connection.roll_back(error)
            if not self._carried:
                call.answer(self._connections.translated(error))
                return
        else:
            self._commit_all(connection, [call, *self._carried])
            return
        for each in (call, *self._carried):
            self._carry_out_alone(each)

    def _carry_out_alone(self, call: QueuedCall[Any]) -> None:
        try:
            connection = self._connection.begin(call.deadline)
            call.attempt(connection)
        except Exception as error:  # noqa: BLE001 - it becomes the answer of a caller
            self._connection.roll_back(error)
            call.answer(self._connections.translated(error))
        else:
            self._commit_all(connection, [call])

    def _commit_all(self, connection: Connection, batch: list[QueuedCall[Any]]) -> None:
        try:
            self._commit(connection, batch)
        except sqlite.Errors as error:
            # A refusal may rest on what another call of the batch had written: it falls as well.
            self._connection.roll_back(error)
            for call in batch:
                call.answer(self._connections.translated(error))

    def _take_along(self) -> None:
        """Carry what waits and may share a transaction with its leader."""
        with self._mutex:
            while self._queue and self._queue[0].work is not None:
                self._carried.append(self._queue[0])
                self._queue.popleft()

    def _commit(self, connection: Connection, batch: list[QueuedCall[Any]]) -> None:
        if connection is not self._connection.current:
            raise Closed(self._closed or "The connection is gone.")
        self._committing = batch
        try:
            self._connection.commit(connection)
        except sqlite.Errors:
            # First of all: an interrupt from here on must not find it among what is committed.
            self._committing = []
            self._connection.take_back(connection)
            raise
        for call in batch:
            call.done = True
        self._connection.tell(connection, batch)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite.Errors as error:
            raise self._connections.translated(error) from error

    def _leave(self, call: QueuedCall[Any]) -> None:
        """Give up the lead, or the place in the queue."""
        if call.left:
            return
        with self._mutex:
            if call.wake is not None and call in self._queue:
                self._queue.remove(call)
            if self._leader is call:
                self._end_lead()
                self._leader = self._queue[0] if self._queue else None
                if self._leader is None and self._closed is not None:
                    self._connection.close()
            if self._queue and self._leader is self._queue[0]:
                self._leader.signal()
            call.left = True

    def _end_lead(self) -> None:
        """Settle what the lead was about; each step can be taken again after an interruption."""
        connection = self._connection.current
        if connection is not None and connection.in_transaction:
            self._committing = []  # its commit has not come about
            self._connection.roll_back()
        self._connection.settle()
        for call in self._committing:
            call.done = True
        if self._carried:
            undone = [
                call
                for call in self._carried
                if not (call.done or call.left or call in self._queue)
            ]
            self._queue.extendleft(reversed(undone))
            for call in self._carried:
                call.signal()
            self._carried = []
        self._committing = []
