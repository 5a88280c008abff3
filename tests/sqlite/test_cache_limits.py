"""The cache at its limits: memory, storage that fails, and files that may only be read."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Groups, StorageFailed, sqlite
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.cache import Cache
from tests import processes
from tests.sqlite.store import connection, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[tuple[object, ...], object]


class Versions:
    """A connection of the cache to a file that nobody changes."""

    def connect(self) -> connections.Connection:
        return sqlite.driver.connect(":memory:", factory=connections.Connection)

    def close_connection(self, connection: connections.Connection) -> None:
        connection.close()


def names(number: int, how_many: int, end: str = "") -> list[str]:
    return [f"{number}:{each}{end}" for each in range(how_many)]


# The sizes are those at which a set has just grown, and takes most for each name in it.
ANSWERS: dict[str, Callable[[int], Answer]] = {
    "whether": lambda number: ((f"group {number}",), True),
    "no topics": lambda number: ((f"group {number}",), frozenset()),
    "one topic": lambda number: ((f"group {number}",), frozenset(names(number, 1))),
    "few topics": lambda number: ((f"group {number}",), frozenset(names(number, 5, "😀"))),
    "many topics": lambda number: ((f"group {number}",), frozenset(names(number, 77, "😀"))),
    "very many": lambda number: ((f"group {number}",), frozenset(names(number, 1229, "é"))),
    "in order": lambda number: ((f"group {number}",), tuple(names(number, 50, "é"))),
    "long names": lambda number: ((f"{number:1024}",), frozenset([f"{number:1023}é"])),
    "a page": lambda number: (("x" * 100_000 + f"{number}", None, 10), ()),
    "many groups": lambda number: (tuple(names(number, 100, "é")), ()),
}


def read_operation() -> None:
    """Stand for the operation that gave an answer."""


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_memory_stays_below_the_bound(answer: Callable[[int], Answer]) -> None:
    """Whatever the answers and their arguments are like, and however many."""
    bound = 1_000_000
    cache = Cache(Versions(), bound)
    version = cache.version()
    most = 0
    tracemalloc.start()
    try:
        cache.keep(read_operation, *answer(0), version)
        for number in range(3 * bound // cache._bytes_of_young):
            cache.keep(read_operation, *answer(number), version)
            most = max(most, tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    arguments, last = answer(number)
    assert cache.find(read_operation, arguments) == last
    cache.disconnect()
    assert bound / 10 < most < bound


@pytest.fixture
def small(groups: Groups) -> Groups:
    """A handle whose cache holds a few answers of 100 topics each."""
    store(groups).cache._most_bytes_of_a_generation = 100_000
    with groups.transaction() as transaction:
        for number in range(20):
            transaction.create(f"group {number}")
            transaction.add(f"group {number}", *names(number, 100))
        transaction.create("huge")
        transaction.add("huge", *names(0, 5000))
    return groups


def test_an_answer_too_large_to_keep_drives_out_no_other(small: Groups) -> None:
    """It is read from the file each time, and what was kept stays."""
    kept = small.topics("group 0")
    for _ in range(5):
        assert small.topics("huge") is not small.topics("huge")
        assert len(small.topics("huge")) == 5000
    assert small.topics("group 0") is kept


def test_what_is_in_use_outlives_what_is_not(small: Groups) -> None:
    """An answer that is asked for again and again stays, whatever else is read in between."""
    kept = small.topics("group 0")
    other = small.topics("group 1")
    for number in range(1, 20):
        small.topics(f"group {number}")
        assert small.topics("group 0") is kept
    assert small.topics("group 1") is not other


FILL = """
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
    INSERT INTO groups (name) SELECT 'group ' || i FROM n;
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
    INSERT INTO group_topics SELECT id, 'topic ' || id || ':' || i FROM groups, n;
"""


@pytest.mark.slow
def test_a_large_file_takes_little_memory(path: Path) -> None:
    """A handle on 200,000 memberships holds what was read of them, not the rest."""
    beryl_groups.start(path).close()
    processes.shell(path, FILL)
    tracemalloc.start()
    try:
        with beryl_groups.start(path) as groups:
            assert len(groups) == 2000
            assert len(groups.topics("group 7")) == 100
            assert groups.groups_of("topic 8:50") == ["group 7"]
            assert len(groups.list_groups(limit=100)) == 100
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2_000_000


def is_kept(groups: Groups, name: str) -> bool:
    """Tell whether the topics of a group are answered from memory when they are asked for again.

    The first look may find that they are not, and the second that the version was an old one.
    """
    groups.topics(name)
    groups.topics(name)
    return groups.topics(name) is groups.topics(name)


def test_the_cache_goes_on_after_storage_failed(groups: Groups) -> None:
    """A write that the disk has no room for changes no answer, and the next ones are right."""
    groups.create("team")
    groups.add("team", "one")
    assert is_kept(groups, "team")
    with groups.transaction() as transaction:
        connection(transaction).execute("PRAGMA max_page_count = 1").fetchall()
    with pytest.raises(StorageFailed, match="full"):
        groups.add("team", *names(0, 10_000))
    assert groups.topics("team") == {"one"}
    groups.add("team", "two")
    assert groups.topics("team") == {"one", "two"}
    assert is_kept(groups, "team")


def test_no_look_at_the_version_is_no_answer(groups: Groups, path: Path) -> None:
    """Where the cache's own connection fails, the file is read, and a new connection opened."""
    groups.create("team")
    assert is_kept(groups, "team")
    connection = store(groups).cache._connection
    assert connection is not None
    connection.close()
    with beryl_groups.start(path) as other:
        other.add("team", "one")
    assert groups.topics("team") == {"one"}
    assert is_kept(groups, "team")


@contextmanager
def file_of_nobody_special() -> Iterator[Path]:
    """Make a file with a group, and stop being root, who may write whatever the mode says."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "groups.db"
    with beryl_groups.start(path) as groups:
        groups.create("team")
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        os.chown(folder, 65534, 65534)
        os.setgid(65534)
        os.setuid(65534)
    try:
        yield path
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def read_a_file_that_may_only_be_read() -> None:
    """Read through connections that may not write, while another handle writes through its own."""
    with file_of_nobody_special() as path, beryl_groups.start(path) as writer:
        writer.add("team", "topic")
        path.chmod(0o400)
        with beryl_groups.start(path) as reader:
            for number in range(10):
                assert is_kept(reader, "team")
                assert isinstance(store(reader).cache._connection, connections.ReadOnlyConnection)
                writer.add("team", f"topic {number}")
                assert f"topic {number}" in reader.topics("team")


def read_a_file_that_stands_still() -> None:
    """Read a file whose folder may only be read, until somebody may write there again."""
    with file_of_nobody_special() as path:
        path.chmod(0o400)
        path.parent.chmod(0o500)
        with beryl_groups.start(path) as reader:
            assert reader.topics("team") == frozenset()
            assert not is_kept(reader, "team")
            path.parent.chmod(0o700)
            path.chmod(0o600)
            for number in range(10):
                with beryl_groups.start(path) as writer:
                    writer.add("team", f"topic {number}")
                assert f"topic {number}" in reader.topics("team")
                assert is_kept(reader, "team")


@pytest.mark.skipif(os.name != "posix", reason="modes mean something else here")
@pytest.mark.parametrize(
    "scene", [read_a_file_that_may_only_be_read, read_a_file_that_stands_still]
)
def test_changes_by_others_are_seen_by_who_may_only_read(scene: Callable[[], None]) -> None:
    """Whether the connections are read-only or take the file to stand still."""
    processes.finish(processes.start(scene))
