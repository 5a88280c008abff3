"""The connections of one handle: few, opened when they are needed, and each with one user.

SQLAlchemy's pool would do, but to borrow a connection from it costs as much as a read, and what a
host program registers on its pools would reach ours.

Invariants:

- No more than `size` are open. Who finds none waits, for no longer than its time.
- Writers leave one to those who read, if there are two: a writer may wait for long at the server,
  for its turn, and who reads waits for nobody.
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

_GLANCE = 0.05
"""Seconds after which who waits looks for itself whether there is one."""


class NoneFreeError(Exception):
    """All connections were in use for too long."""


class Pool:
    """What is open, and what may be opened."""

    def __init__(self, address: Address, size: int, patience: float) -> None:
        self.size = size
        self._options = with_patience(address, patience)
        self._idle: deque[Connection] = deque()
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._freed = threading.Condition()
        self._waiting = 0
        self._closed = False

    def take(self, deadline: float, *, to_write: bool = False) -> Connection:
        """Give a connection that nobody else has, or raise `NoneFreeError`, or psycopg's error."""
        while not (to_write and self._must_be_left()):
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
        self._idle.append(connection)
        if self._closed:
            self._close_idle()
        elif self._waiting:
            self._tell()

    def discard(self, connection: Connection) -> None:
        """Close a connection, whatever is under way on it."""
        connection.close()
        self._open.discard(connection)
        if self._waiting:
            self._tell()

    def close(self) -> None:
        """Close what is idle, and what is lent when it comes back."""
        self._closed = True
        self._close_idle()

    def abandon(self) -> list[object]:
        """Give up what is open without touching it, in a forked child, and return it."""
        self._closed = True
        self._freed = threading.Condition()
        inherited: list[object] = list(self._open)
        self._idle.clear()
        return inherited

    def _must_be_left(self) -> bool:
        free = self.size - len(self._open) + len(self._idle)
        return free < 2 <= self.size

    def _open_or_wait(self, deadline: float, *, to_write: bool) -> Connection:
        failure: Exception | None = None
        while True:
            connection = self._claim(to_write=to_write, may_open=failure is None)
            if connection is None:
                self._wait(deadline, failure)
            elif connection.is_open:
                if not connection.is_stale():
                    return connection
                self.discard(connection)
            else:
                try:
                    connection.open(self._options)
                except (psycopg.Error, LostError) as error:
                    # The server may have no room for more, and another be free soon.
                    failure = error
                else:
                    return connection
                finally:
                    if not connection.is_open:
                        self.discard(connection)

    def _claim(self, *, to_write: bool, may_open: bool) -> Connection | None:
        with self._freed:
            if to_write and self._must_be_left():
                return None
            if self._idle:
                return self._idle.pop()
            if may_open and len(self._open) < self.size:
                connection = Connection()
                self._open.add(connection)
                return connection
            return None

    def _wait(self, deadline: float, failure: Exception | None) -> None:
        with self._freed:
            if failure is not None and not self._open:
                raise failure
            if (left := deadline - monotonic()) <= 0:
                raise failure or NoneFreeError
            self._waiting += 1
            try:
                self._freed.wait(min(left, _GLANCE))
            finally:
                self._waiting -= 1

    def _tell(self) -> None:
        with self._freed:
            self._freed.notify()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread had it
                return
            self.discard(connection)
