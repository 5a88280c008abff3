"""The connections of one handle: few, opened when they are needed, and each with one user.

SQLAlchemy's pool would do, but to borrow a connection from it costs as much as a read, and what a
host program registers on its pools would reach ours.

Invariants:

- No more than `size` are open. Who finds none waits, for no longer than its time.
- Writers leave one to those who read, if there are two: a writer may wait for long at the server,
  for its turn, and who reads waits for nobody.
- Who gives a connection back may take it again at once: to wake another thread for it takes longer
  than a call. Who waits looks for itself, and is handed one when it has waited for a while.
- A connection is given back when nothing is under way on it; any other is closed. What is open is
  counted by what exists: a connection that an interrupt has lost on the way is none.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

import psycopg

from beryl_groups.clock import monotonic
from beryl_groups.postgresql.address import with_patience
from beryl_groups.postgresql.connections import Connection, LostError

if TYPE_CHECKING:
    from beryl_groups.postgresql.address import Address
    from beryl_groups.postgresql.connections import Step

_GLANCE = 0.005
"""Seconds after which who waits looks for itself whether there is one, and has waited for long."""


class NoneFreeError(Exception):
    """All connections were in use for too long."""


class _Waiter:
    """Who waits for a connection, and the one that is handed over."""

    __slots__ = ("connection", "since", "to_write", "woken")

    def __init__(self, *, to_write: bool) -> None:
        self.to_write = to_write
        self.since = monotonic()
        self.connection: Connection | None = None
        self.woken = threading.Lock()
        self.woken.acquire()

    def wake(self) -> None:
        if self.woken.locked():
            self.woken.release()


class Pool:
    """What is open, and what may be opened."""

    def __init__(self, address: Address, size: int, patience: float, settings: Step) -> None:
        self.size = size
        self._options = with_patience(address, patience)
        self._settings = settings
        self._idle: deque[Connection] = deque()
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._waiters: deque[_Waiter] = deque()
        self._lock = threading.RLock()
        self._closed = False

    def take(self, deadline: float, *, to_write: bool = False) -> Connection:
        """Give a connection that nobody else has, or raise `NoneFreeError`, or psycopg's error."""
        while not (to_write and self._last_is_for_reads()):
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if not connection.is_stale():
                return connection
            self.discard(connection)  # the server was started anew, or ended it
        return self._open_or_wait(deadline, to_write=to_write)

    def give_back(self, connection: Connection) -> None:
        """Take a connection back from who has it; one that is in use or broken is closed."""
        if not connection.is_at_rest():
            self.discard(connection)
            return
        if self._waiters and self._hand_over(connection):
            return
        self._idle.append(connection)
        if self._closed:
            self._close_idle()

    def discard(self, connection: Connection) -> None:
        """Close a connection, whatever is under way on it."""
        connection.close()
        self._open.discard(connection)
        if self._waiters:
            self._wake_one()

    def close(self) -> None:
        """Close what is idle, and what is lent when it comes back."""
        self._closed = True
        self._close_idle()

    def abandon(self) -> list[object]:
        """Give up what is open without touching it, in a forked child, and return it."""
        self._closed = True
        self._lock = threading.RLock()
        inherited: list[object] = list(self._open)
        self._idle.clear()
        self._waiters.clear()
        return inherited

    def _free(self) -> int:
        return self.size - len(self._open) + len(self._idle)

    def _last_is_for_reads(self) -> bool:
        """Tell whether no more than one is free, which is not for who would write."""
        return self._free() < 2 <= self.size

    def _open_or_wait(self, deadline: float, *, to_write: bool) -> Connection:
        failure: Exception | None = None
        while True:
            connection = self._claim(to_write=to_write, may_open=failure is None)
            if connection is None:
                connection = self._wait(deadline, failure, to_write=to_write)
            if connection is None:
                continue
            if connection.is_open:
                if not connection.is_stale():
                    return connection
                self.discard(connection)
                continue
            try:
                connection.open(self._options, self._settings)
            except (psycopg.Error, LostError) as error:
                failure = error  # the server may have no room for more, and another be free soon
            else:
                return connection
            finally:
                if not connection.is_open:
                    self.discard(connection)

    def _claim(self, *, to_write: bool, may_open: bool) -> Connection | None:
        with self._lock:
            if to_write and self._last_is_for_reads():
                return None
            if self._idle:
                return self._idle.pop()
            if may_open and len(self._open) < self.size:
                connection = Connection()
                self._open.add(connection)
                return connection
            return None

    def _wait(
        self, deadline: float, failure: Exception | None, *, to_write: bool
    ) -> Connection | None:
        """Return what is handed over, or None where there may be one to claim."""
        if failure is not None and not self._open:
            raise failure
        if (left := deadline - monotonic()) <= 0:
            raise failure or NoneFreeError
        waiter = _Waiter(to_write=to_write)
        try:
            self._waiters.append(waiter)
            waiter.woken.acquire(timeout=min(left, _GLANCE))
            while waiter.connection is None and self._is_full(to_write=to_write):
                if (left := deadline - monotonic()) <= 0:
                    break
                waiter.woken.acquire(timeout=min(left, _GLANCE))
        finally:
            with self._lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return waiter.connection

    def _is_full(self, *, to_write: bool) -> bool:
        """Tell whether there is nothing to claim, for who would write or would not."""
        if self._closed:
            return False
        return self._free() < 1 or (to_write and self._last_is_for_reads())

    def _hand_over(self, connection: Connection) -> bool:
        """Give a connection that is free to who has waited for the longest and may have it."""
        with self._lock:
            if not self._waiters or monotonic() - self._waiters[0].since < _GLANCE:
                return False
            all_may = self._free() >= 1 or self.size < 2
            for waiter in self._waiters:
                if all_may or not waiter.to_write:
                    self._waiters.remove(waiter)
                    waiter.connection = connection
                    waiter.wake()
                    return True
        return False

    def _wake_one(self) -> None:
        with self._lock:
            if self._waiters:
                self._waiters[0].wake()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread had it
                return
            self.discard(connection)
