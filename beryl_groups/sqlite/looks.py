"""Looks for changes, which tell the difference between the file and what was seen of it last.

What was seen last is a database in memory of its own, which a connection to the file attaches: so
SQLite compares the two, and they stay apart where the file has to be opened anew. Nothing is
written to the file.

Invariants:

- The version of the file is asked for first, kept, and only then the file is read, in one
  transaction. A commit between the two is seen, and its version only seems to be new. The other
  way round its version would be taken for that of what was read before it.
- What was seen changes in the transaction that compared it: a look that fails has seen nothing.
- A group is told apart by its id, which is never given twice. A restored group has another one,
  but the name and the moment of creation of what was there before: it is the same group.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from beryl_groups import sqlite
from beryl_groups.bell import Bell
from beryl_groups.changes import Delta, Difference, came, went
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.locks import held

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Set

    from beryl_groups.engine import Range
    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.location import Location

    Group = tuple[str, str]  # its name, and when it was created

_TABLES = """
    CREATE TABLE seen.ranges (lowest TEXT, above, PRIMARY KEY (lowest, above)) WITHOUT ROWID;
    CREATE TABLE seen.groups (id INTEGER PRIMARY KEY, name TEXT, created_at TEXT);
    CREATE TABLE seen.topics (group_id INTEGER, topic TEXT, PRIMARY KEY (group_id, topic))
        WITHOUT ROWID;
"""
_ABOVE_ALL_TEXT = b""  # SQLite orders every blob after every text

_NEW_IN_RANGE = """
    FROM main.groups WHERE name >= ? AND name < ? AND id NOT IN (SELECT id FROM seen.groups)
    AND NOT EXISTS (SELECT 1 FROM seen.ranges WHERE name >= lowest AND name < above)
"""
_TOPICS_OF_NEW = "SELECT group_id, topic FROM main.group_topics WHERE group_id IN (SELECT id "
_BEGIN_RANGE = (
    "INSERT INTO seen.topics " + _TOPICS_OF_NEW + _NEW_IN_RANGE + ")",
    "INSERT INTO seen.groups SELECT id, name, created_at " + _NEW_IN_RANGE,
    "INSERT INTO seen.ranges VALUES (?, ?)",
)
_END_RANGE = "DELETE FROM seen.ranges WHERE lowest = ? AND above = ?"
_FORGET_WHAT_IS_IN_NONE = (
    """DELETE FROM seen.groups
    WHERE NOT EXISTS (SELECT 1 FROM seen.ranges WHERE name >= lowest AND name < above)""",
    "DELETE FROM seen.topics WHERE group_id NOT IN (SELECT id FROM seen.groups)",
)

# As SQLite walks through both sides in the order of their keys, it need not keep either.
_FOUND_TOPICS = """
    SELECT group_id, topic FROM main.group_topics
    WHERE group_id IN (SELECT id FROM seen.groups)
"""
_SEEN_TOPICS = "SELECT group_id, topic FROM seen.topics"
_ADDED = f"{_FOUND_TOPICS} EXCEPT {_SEEN_TOPICS} ORDER BY 1, 2"
_REMOVED = f"{_SEEN_TOPICS} EXCEPT {_FOUND_TOPICS} ORDER BY 1, 2"
_FOUND_GROUPS = """
    SELECT DISTINCT id, name, created_at
    FROM seen.ranges CROSS JOIN main.groups AS found ON name >= lowest AND name < above
    WHERE NOT EXISTS (
        SELECT 1 FROM seen.groups AS seen
        WHERE seen.id = found.id AND seen.name = found.name AND seen.created_at = found.created_at
    )
"""
_SEEN_GROUPS = """
    SELECT id, name, created_at FROM seen.groups AS seen
    WHERE NOT EXISTS (
        SELECT 1 FROM main.groups AS found
        WHERE seen.id = found.id AND seen.name = found.name AND seen.created_at = found.created_at
    )
"""
_NAME = "SELECT name FROM seen.groups WHERE id = ?"
_TOPICS = "SELECT topic FROM seen.topics WHERE group_id = ?"
_NOTHING = Difference({}, {})


class Store(Protocol):
    """What is needed to have a connection and to speak of it."""

    location: Location

    def refuse_if_closed(self) -> None: ...
    def connect(self) -> Connection: ...
    def close_connection(self, connection: Connection) -> None: ...
    def translated(self, error: Exception) -> Exception: ...


class FileLooks:
    """The looks of one handle at its file."""

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
                    _change_ranges(connection, self._ranges, ranges)
                    seen = _see(connection)
                    outdated = connection.is_outdated()
                    if not outdated:
                        connection.execute("COMMIT")
            except sqlite.Errors as error:
                self.disconnect()
                raise self._store.translated(error) from error
            if outdated:
                return self.look(ranges)
            self._version, self._ranges = version, ranges
            return seen

    def held(self, names: Container[str]) -> dict[int, tuple[str, frozenset[str]]]:
        with self._lock:
            self._store.refuse_if_closed()
            try:
                connection = self._current()
                groups = connection.execute("SELECT id, name FROM seen.groups").fetchall()
                found = [(id_, name) for id_, name in groups if name in names]
                return {id_: (name, _topics(connection, id_)) for id_, name in found}
            except sqlite.Errors as error:
                self.disconnect()
                raise self._store.translated(error) from error

    def disconnect(self) -> None:
        """Let go of the file; the next look opens it again."""
        with self._lock:
            self._version = None
            if self._connection is not None:
                self._store.close_connection(self._connection)
                self._connection = None

    def close(self) -> None:
        with self._lock:
            self.disconnect()
            if self._seen is not None:
                self._seen.close()
                self._seen = None

    @contextmanager
    def paused(self, seconds: float) -> Iterator[bool]:
        """Look at nothing inside the block, with no connection open; False if it takes too long."""
        with held(self._lock, seconds) as in_time:
            if in_time:
                self.disconnect()
            yield in_time

    def abandon(self) -> list[object]:
        """Give up what is open without touching it, and return it."""
        self._lock = threading.RLock()
        given_up, self._seen, self._connection = [self._seen], None, None
        return [each for each in given_up if each is not None]

    def _current(self) -> Connection:
        """Return a connection to the file that is there now, or raise where it is another one."""
        connection = self._connection
        self.lost = self._store.location.identity() != self._file
        if connection is not None and (self.lost or connection.is_outdated()):
            self.disconnect()
            connection = None
        return connection or self._connect()

    def _connect(self) -> Connection:
        connection = self._store.connect()
        new = self._seen is None
        try:
            if self._seen is None:
                self._name = f"file:/beryl_groups-{os.urandom(8).hex()}?vfs=memdb"
                seen = sqlite.driver.connect(self._name, uri=True, check_same_thread=False)
                self._seen = seen
            connection.execute("ATTACH ? AS seen", (self._name,))
            connections.wait_at_most(connection, 0)  # there is a next look
            if new:
                connection.executescript(_TABLES)
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


def _change_ranges(connection: Connection, old: Set[Range], new: Set[Range]) -> None:
    """Take what is in a range only now for seen, and forget what is in none any more."""
    for lowest, above in new - old:
        bounds = (lowest, _ABOVE_ALL_TEXT if above is None else above)
        for statement in _BEGIN_RANGE:
            connection.execute(statement, bounds)
    for lowest, above in old - new:
        connection.execute(_END_RANGE, (lowest, _ABOVE_ALL_TEXT if above is None else above))
    if old - new:
        for statement in _FORGET_WHAT_IS_IN_NONE:
            connection.execute(statement)


def _see(connection: Connection) -> Difference:
    """Return what became of the groups, and make what was seen the same as what is there."""
    went_or_was = _groups(connection, _SEEN_GROUPS)
    came_or_is = _groups(connection, _FOUND_GROUPS)
    came_now = {group: id_ for id_, group in came_or_is.items() if id_ not in went_or_was}
    again = {
        id_: came_now[group]
        for id_, group in went_or_was.items()
        if id_ not in came_or_is and group in came_now
    }
    connection.executemany("DELETE FROM seen.groups WHERE id = ?", _each(went_or_was))
    rows = [(id_, *group) for id_, group in came_or_is.items()]
    connection.executemany("INSERT INTO seen.groups VALUES (?, ?, ?)", rows)
    renumber = "UPDATE seen.topics SET group_id = ? WHERE group_id = ?"
    connection.executemany(renumber, [(new, old) for old, new in again.items()])

    added = connection.execute(_ADDED).fetchall()
    removed = connection.execute(_REMOVED).fetchall()
    connection.executemany("DELETE FROM seen.topics WHERE group_id = ? AND topic = ?", removed)
    connection.executemany("INSERT INTO seen.topics VALUES (?, ?)", added)
    before = {again.get(id_, id_): name for id_, (name, _) in went_or_was.items()}
    after = {id_: name for id_, (name, _) in came_or_is.items()}
    return Difference(
        _deltas(
            connection, before, after, _by_group(connection, added), _by_group(connection, removed)
        ),
        again,
    )


def _deltas(
    connection: Connection,
    before: dict[int, str],
    after: dict[int, str],
    added: dict[int, frozenset[str]],
    removed: dict[int, frozenset[str]],
) -> dict[int, Delta]:
    none: frozenset[str] = frozenset()
    deltas = {}
    for id_ in {*before, *after, *added, *removed}:
        plus, minus = added.get(id_, none), removed.get(id_, none)
        if id_ not in before and id_ not in after:
            (name,) = connection.execute(
                "SELECT name FROM seen.groups WHERE id = ?", (id_,)
            ).fetchone()
            deltas[id_] = Delta(name, name, plus, minus)
        elif id_ not in before:
            deltas[id_] = came(after[id_], plus)
        elif id_ not in after:
            deltas[id_] = went(before[id_], minus)
        elif before[id_] != after[id_]:
            held = _topics(connection, id_)
            deltas[id_] = Delta(before[id_], after[id_], plus, minus, held)
        elif plus or minus:
            deltas[id_] = Delta(before[id_], before[id_], plus, minus)
    return deltas


def _groups(connection: Connection, statement: str) -> dict[int, Group]:
    rows = connection.execute(statement).fetchall()
    connection.texts([name for _, name, _ in rows])
    return {id_: (name, created_at) for id_, name, created_at in rows}


def _by_group(connection: Connection, rows: list[tuple[int, str]]) -> dict[int, frozenset[str]]:
    connection.texts([topic for _, topic in rows])
    return {
        id_: frozenset([topic for _, topic in group]) for id_, group in groupby(rows, itemgetter(0))
    }


def _topics(connection: Connection, id_: int) -> frozenset[str]:
    rows = connection.execute(_TOPICS, (id_,)).fetchall()
    return frozenset([topic for (topic,) in rows])


def _each(ids: Iterable[int]) -> list[tuple[int]]:
    return [(id_,) for id_ in ids]
