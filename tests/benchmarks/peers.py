"""Peers that keep values under keys in files: a set of topics under the name of its group."""

from __future__ import annotations

import importlib
import shelve
import threading
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contender import Base

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class DiskCache(Base):
    name = "diskcache"
    promises = (
        "durable only as set up here (with synchronous=2, and no values in files of their own, "
        "which it does not sync); atomic inside its transact(); threads and processes; every add "
        "rewrites the whole set"
    )
    needs = "diskcache"
    first_read = (
        "import sys, diskcache\n"
        "with diskcache.Cache(sys.argv[1]) as cache:\n"
        "    cache[sys.argv[2]]\n"
    )

    def __init__(self, address: str) -> None:
        cache: Any = importlib.import_module("diskcache").Cache
        # As it comes, it evicts what is oldest above 1 GB, syncs its SQLite file at checkpoints
        # only, and values above 32 kB, which are files of their own, not at all.
        self._cache = cache(
            address,
            timeout=60,
            eviction_policy="none",
            sqlite_synchronous=2,
            disk_min_file_size=2**30,
        )

    def add(self, name: str, topic: str) -> None:
        self.add_many(name, (topic,))

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        with self._cache.transact(retry=True):
            self._cache[name] |= frozenset(topics)

    def topics(self, name: str) -> frozenset[str]:
        found: frozenset[str] = self._cache[name]
        return found

    def fill(self, content: Iterable[tuple[str, list[str]]]) -> None:
        with self._cache.transact():
            for name, topics in content:
                self._cache[name] = frozenset(topics)

    def close(self) -> None:
        self._cache.close()


class SqliteDict(Base):
    name = "sqlitedict"
    promises = (
        "never durable (it sets synchronous=OFF); an add is read, change and write, not atomic "
        "between processes; every add rewrites the whole set"
    )
    several_processes = False
    durable = False
    needs = "sqlitedict"
    first_read = (
        "import sys, sqlitedict\n"
        "with sqlitedict.SqliteDict(sys.argv[1]) as store:\n"
        "    store[sys.argv[2]]\n"
    )

    def __init__(self, address: str) -> None:
        store: Any = importlib.import_module("sqlitedict").SqliteDict
        self._store = store(address, journal_mode="WAL")
        self._lock = threading.Lock()

    def add(self, name: str, topic: str) -> None:
        self.add_many(name, (topic,))

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        with self._lock:
            self._store[name] |= frozenset(topics)
            self._store.commit()

    def topics(self, name: str) -> frozenset[str]:
        found: frozenset[str] = self._store[name]
        return found

    def fill(self, content: Iterable[tuple[str, list[str]]]) -> None:
        for name, topics in content:
            self._store[name] = frozenset(topics)
        self._store.commit()

    def close(self) -> None:
        self._store.close()


class Lmdb(Base):
    name = "lmdb"
    promises = (
        "a call that returned survives a power cut; atomic; threads and processes; a file of a "
        "size set beforehand, topics of 511 bytes at most, and no way from a topic to its groups"
    )
    needs = "lmdb"
    first_read = (
        "import sys, lmdb\n"
        "with lmdb.open(sys.argv[1], map_size=2**32, max_dbs=2) as environment:\n"
        "    topics = environment.open_db(b'topics', dupsort=True)\n"
        "    with environment.begin(db=topics) as transaction, transaction.cursor() as cursor:\n"
        "        cursor.set_key(sys.argv[2].encode())\n"
        "        frozenset([topic.decode() for topic in cursor.iternext_dup()])\n"
    )

    def __init__(self, address: str) -> None:
        lmdb: Any = importlib.import_module("lmdb")
        self._environment = lmdb.open(address, map_size=2**32, max_dbs=2)
        self._groups = self._environment.open_db(b"groups")
        self._topics = self._environment.open_db(b"topics", dupsort=True)

    def add(self, name: str, topic: str) -> None:
        key = name.encode()
        with self._environment.begin(write=True) as transaction:
            if transaction.get(key, db=self._groups) is None:
                raise KeyError(name)
            transaction.put(key, topic.encode(), db=self._topics)

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        key = name.encode()
        with self._environment.begin(write=True) as transaction:
            if transaction.get(key, db=self._groups) is None:
                raise KeyError(name)
            with transaction.cursor(self._topics) as cursor:
                cursor.putmulti([(key, topic.encode()) for topic in topics])

    def topics(self, name: str) -> frozenset[str]:
        key = name.encode()
        with self._environment.begin() as transaction:
            with transaction.cursor(self._topics) as cursor:
                if cursor.set_key(key):
                    return frozenset([topic.decode() for topic in cursor.iternext_dup()])
            if transaction.get(key, db=self._groups) is None:
                raise KeyError(name)
        return frozenset()

    def fill(self, content: Iterable[tuple[str, list[str]]]) -> None:
        with self._environment.begin(write=True) as transaction:
            for name, topics in content:
                key = name.encode()
                transaction.put(key, b"", db=self._groups)
                for topic in topics:
                    transaction.put(key, topic.encode(), db=self._topics)

    def close(self) -> None:
        self._environment.close()


class Shelve(Base):
    name = "shelve"
    promises = (
        "what the dbm module beneath it promises, and dbm.dumb, which is always there, neither "
        "syncs nor writes atomically; one process, and threads behind a lock of one's own; every "
        "add rewrites the whole set"
    )
    several_processes = False
    durable = False
    first_read = (
        "import sys, shelve\nwith shelve.open(sys.argv[1]) as store:\n    store[sys.argv[2]]\n"
    )

    def __init__(self, address: str) -> None:
        self._store: shelve.Shelf[frozenset[str]] = shelve.open(address)  # noqa: SIM115
        self._lock = threading.Lock()

    def add(self, name: str, topic: str) -> None:
        self.add_many(name, (topic,))

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        with self._lock:
            self._store[name] |= frozenset(topics)
            self._store.sync()

    def topics(self, name: str) -> frozenset[str]:
        return self._store[name]

    def fill(self, content: Iterable[tuple[str, list[str]]]) -> None:
        for name, topics in content:
            self._store[name] = frozenset(topics)
        self._store.sync()

    def close(self) -> None:
        self._store.close()
