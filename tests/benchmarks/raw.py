"""Raw ``sqlite3``: what a careful user would write by hand on the same schema.

``sqlite3`` stands for the driver that the package uses, so that all are compared on one SQLite.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from beryl_groups.sqlite import driver
from tests.benchmarks.contender import Base

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCHEMA = """
CREATE TABLE groups (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) NOT NULL
) STRICT;
CREATE TABLE group_topics (
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    topic TEXT NOT NULL,
    PRIMARY KEY (group_id, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_topics_by_topic ON group_topics (topic, group_id);
CREATE VIEW memberships AS
    SELECT groups.name AS group_name, group_topics.topic AS topic
    FROM group_topics JOIN groups ON groups.id = group_topics.group_id;
"""

PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"

CREATE = "INSERT INTO groups (name) VALUES (?)"
FIND = "SELECT id FROM groups WHERE name = ?"

# One row with NULL for a group without topics, no row for a group that is not there.
TOPICS = (
    "SELECT group_topics.topic FROM groups "
    "LEFT JOIN group_topics ON group_topics.group_id = groups.id WHERE groups.name = ?"
)

# A topic that is there already is ignored; a group that is not there fails, for NULL is no id.
ADD = (
    "INSERT INTO group_topics (group_id, topic) "
    "VALUES ((SELECT id FROM groups WHERE name = ?), ?) ON CONFLICT DO NOTHING"
)
ADD_TO_ID = "INSERT INTO group_topics (group_id, topic) VALUES (?, ?) ON CONFLICT DO NOTHING"


def connect(path: str) -> driver.Connection:
    """Open a file for use in autocommit, with its tables, which are made where there are none."""
    connection = driver.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
    connection.executescript(PRAGMAS)
    if not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall():
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
    return connection


class Raw(Base):
    """A connection to read, and one to write behind a lock."""

    name = "sqlite3"
    promises = "the same as ours, as far as its user writes it"
    first_read = (
        f"import sys, {driver.__name__} as driver\n"
        "connection = driver.connect(sys.argv[1], isolation_level=None)\n"
        'connection.executescript("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")\n'
        f"rows = connection.execute({TOPICS!r}, (sys.argv[2],)).fetchall()\n"
        "frozenset([topic for (topic,) in rows if topic is not None])\n"
        "connection.close()\n"
    )

    def __init__(self, address: str) -> None:
        self._reader = connect(address)
        self._writer = connect(address)
        self._lock = threading.Lock()

    def add(self, name: str, topic: str) -> None:
        with self._lock:
            try:
                self._writer.execute(ADD, (name, topic))
            except driver.IntegrityError as error:
                raise KeyError(name) from error

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                row = self._writer.execute(FIND, (name,)).fetchone()
                if row is None:
                    raise KeyError(name)
                self._writer.executemany(ADD_TO_ID, [(row[0], topic) for topic in topics])
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise

    def topics(self, name: str) -> frozenset[str]:
        rows = self._reader.execute(TOPICS, (name,)).fetchall()
        if not rows:
            raise KeyError(name)
        return frozenset([topic for (topic,) in rows if topic is not None])

    def fill(self, content: Iterable[tuple[str, list[str]]]) -> None:
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            for name, topics in content:
                group_id = self._writer.execute(CREATE, (name,)).lastrowid
                self._writer.executemany(ADD_TO_ID, [(group_id, topic) for topic in topics])
            self._writer.execute("COMMIT")

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
