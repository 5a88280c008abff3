"""Answers kept in memory for as long as nobody else has committed.

SQLite tells a connection through ``PRAGMA data_version`` whether any other connection, of any
process, has committed since it last asked (https://www.sqlite.org/pragma.html#pragma_data_version).
One connection serves this cache alone, so the commits of its own handle count as well. The look
takes two locks from the system, which is about half of what a read of ten topics costs without it.

Invariants:

- An answer is given only after a look at the version, made after the call began, has shown the
  one under which the answers are kept; any other version drops them all.
- An answer is kept only if the version has not moved on between the moment before it was read
  and now: what was read before a commit cannot come back after it. If it is newer than the
  version, the next look shows a new version and drops it: that costs a read, and is never wrong.
- A commit of this handle drops what it touches and leaves the rest, if no commit of others lies
  between the version before it and the version after it. The write connection knows, for its
  own version counts the commits of others alone (`_writers_version`, as of `_version`).
- A commit that was interrupted may have landed: the next one drops all that is kept.
- A signal handler or a finalizer may call in between any two lines, in the thread that holds the
  lock: an answer is taken, kept and moved on only under a version that is compared once more.
- What is kept takes no more than `most_bytes`: one generation of answers is filled after the
  other, the last two are held, and what is used moves into the younger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from beryl_groups import sqlite
from beryl_groups.engine import MISSING
from beryl_groups.errors import GroupError
from beryl_groups.locks import held
from beryl_groups.sqlite import connections

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from beryl_groups.sqlite.connections import Connection

Kind = Callable[..., Any]
Touched = tuple[Kind, tuple[Any, ...] | None]
"""The answer of an operation to these arguments, or, with None, all its answers."""

MOST_BYTES = 32 * 2**20

_DATA_VERSION = "PRAGMA data_version"
_VERSIONS_OF_A_CONNECTION = 2**32

# What an answer takes at the most, and each name in it or in the arguments: in a tuple or a set,
# and by itself.
_BYTES_OF_AN_ANSWER = 1000
_BYTES_OF_A_NAME = 200
_BYTES_OF_A_CHARACTER = 4


class Connections(Protocol):
    """What a cache needs to have its connection."""

    def connect(self) -> Connection: ...
    def close_connection(self, connection: Connection) -> None: ...


class Cache:
    """The answers of one handle, by the operation that read them and its arguments."""

    def __init__(self, connections: Connections, most_bytes: int = MOST_BYTES) -> None:
        self._connections = connections
        self._most_bytes_of_a_generation = most_bytes // 2
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._ask: Callable[[str], Iterable[tuple[int]]]
        self._version_zero = 0
        self._version: int | None = None
        self._writer: Connection | None = None
        self._writers_version: int | None = None
        self.committing = False
        self._young: dict[Kind, dict[tuple[Any, ...], tuple[Any, int]]] = {}
        self._old: dict[Kind, dict[tuple[Any, ...], tuple[Any, int]]] = {}
        self._bytes_of_young = 0

    def find(self, kind: Kind, arguments: tuple[Any, ...]) -> Any:
        """Return the answer if it is here and holds, or MISSING."""
        with self._lock:
            kept_with = self._version
            try:
                answer, _ = self._young[kind][arguments]
            except KeyError:
                answer = self._take_from_old(kind, arguments)
                if answer is MISSING:
                    return MISSING
            version = self._look()
            if version == kept_with and version is not None:
                return answer
            if not self.committing:
                # Otherwise it may be the commit of this handle that shows: it will clear up.
                self._drop_all(version)
            return MISSING

    def find_at_once(self, kind: Kind, arguments: tuple[Any, ...]) -> Any:
        """Return the answer as `find` does, and MISSING where another thread is at work here."""
        lock = self._lock
        try:
            # In here: Ctrl-C may come as soon as it is held.
            return self.find(kind, arguments) if lock.acquire(blocking=False) else MISSING
        finally:  # as `locks.held`, which costs as much as all of this
            try:  # noqa: SIM105
                lock.release()
            except RuntimeError:
                pass  # another thread holds it

    def version(self) -> int | None:
        """Return what an answer that is read after this can be kept with, None if it cannot."""
        version = self._version
        if version is None:
            with self._lock:
                if self._version is None:
                    self._drop_all(self._look())
                version = self._version
        return version

    def keep(
        self, kind: Kind, arguments: tuple[Any, ...], answer: Any, version: int | None
    ) -> None:
        """Keep an answer that was read after `version` returned this."""
        size = _BYTES_OF_AN_ANSWER
        size += _bytes_of([name for name in arguments if isinstance(name, str)])
        if isinstance(answer, (tuple, frozenset)):
            size += _bytes_of(answer)
        with self._lock:
            if version is not None and version == self._version:
                self._put(kind, arguments, (answer, size))
                if version != self._version:
                    self._drop(kind, arguments)

    def before_commit(self, writer: Connection) -> None:
        """Take note, inside a write transaction, of what others have committed before it."""
        if not (self._young or self._old or self.committing):
            # Nothing to hold on to: what is kept from here on, the next look will judge.
            self._writer = None
            return
        with self._lock:
            if self.committing:
                self.committing = False
                self._drop_all(None)
            theirs = _data_version(writer)
            if theirs != self._writers_version or writer is not self._writer:
                version = self._look()
                if version != self._version:
                    self._drop_all(version)
                self._writer, self._writers_version = writer, theirs
            self.committing = True

    def after_commit(self, writer: Connection, touched: Iterable[Touched]) -> None:
        """Drop what the commit that was prepared for touched; all, if others have committed."""
        with self._lock:
            # First the cache's own look: what others commit after it, the next look will show.
            version = self._look()
            try:
                alone = writer is self._writer and _data_version(writer) == self._writers_version
            except sqlite.Errors:
                alone = False
            if alone:
                for kind, arguments in touched:
                    self._drop(kind, arguments)
                self._version = version
            else:
                self._drop_all(version)
            self.committing = False

    def after_rollback(self) -> None:
        """Go on after a commit that failed or was interrupted.

        If it landed all the same, that shows in the version.
        """
        # The next commit looks at the version too: the second to land must not hide the first.
        self._writer = None
        self.committing = False

    def disconnect(self) -> None:
        """Close the connection, and with it forget all answers."""
        with self._lock:
            self._drop_all(None)
            if self._connection is not None:
                self._connections.close_connection(self._connection)
                self._connection = None

    def abandon(self) -> None:
        """Forget all answers and give up the connection without touching it."""
        # A thread that a fork did not take along may have held the lock.
        self._lock = threading.RLock()
        self._drop_all(None)
        self._connection = None

    @contextmanager
    def paused(self, seconds: float) -> Iterator[bool]:
        """Answer nothing inside the block, with no connection open; False if it takes too long."""
        with held(self._lock, seconds) as in_time:
            if in_time:
                self.disconnect()
            yield in_time

    def _look(self) -> int | None:
        """Return the version as of now; any other call's commit before now shows in it."""
        try:
            if self._connection is None and not self._connect():
                return None
            for (version,) in self._ask(_DATA_VERSION):
                return self._version_zero + version
        except (*sqlite.Errors, GroupError):
            # The caller goes to the file itself, and meets there what went wrong here.
            self.disconnect()
        return None

    def _connect(self) -> bool:
        connection = self._connections.connect()
        if not connection.lasting:
            self._connections.close_connection(connection)
            return False
        # A look that would have to wait is none: whoever asks goes to the file then.
        connections.wait_at_most(connection, 0)
        # Each connection counts from the same number: its versions are told from those before.
        self._version_zero += _VERSIONS_OF_A_CONNECTION
        self._ask = connection.cursor().execute
        self._connection = connection
        return True

    def _take_from_old(self, kind: Kind, arguments: tuple[Any, ...]) -> Any:
        try:
            kept = self._old[kind].pop(arguments)
        except KeyError:
            return MISSING
        self._put(kind, arguments, kept)
        return kept[0]

    def _put(self, kind: Kind, arguments: tuple[Any, ...], kept: tuple[Any, int]) -> None:
        size = kept[1]
        if size > self._most_bytes_of_a_generation:
            return
        if self._bytes_of_young + size > self._most_bytes_of_a_generation:
            self._old, self._young, self._bytes_of_young = self._young, {}, 0
        self._young.setdefault(kind, {})[arguments] = kept
        self._bytes_of_young += size

    def _drop(self, kind: Kind, arguments: tuple[Any, ...] | None) -> None:
        for answers in (self._young, self._old):
            if arguments is None:
                answers.pop(kind, None)
            elif kind in answers:
                answers[kind].pop(arguments, None)

    def _drop_all(self, version: int | None) -> None:
        self._young, self._old, self._bytes_of_young = {}, {}, 0
        self._version = version
        self._writer = None


def _bytes_of(names: Collection[str]) -> int:
    return len(names) * _BYTES_OF_A_NAME + sum(map(len, names)) * _BYTES_OF_A_CHARACTER


def _data_version(connection: Connection) -> int:
    (version,) = connection.execute(_DATA_VERSION).fetchone()
    return int(version)
