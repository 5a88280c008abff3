"""The WAL: it does not grow for as long as others read, and nobody waits for it for long."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import sqlite
from beryl_groups.sqlite.wal import MOST_BYTES
from tests.processes import PATIENCE, in_thread, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from beryl_groups import Groups

TOPICS = [f"{number}:{'x' * 100}" for number in range(2000)]


def size_of_wal(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def write_much(groups: Groups) -> None:
    """Write more than a WAL may hold, in more commits than pass between two looks at it."""
    for _ in range(16):
        groups.set_topics("group", TOPICS)
        groups.set_topics("group", ())


def write_until_it_is_small(groups: Groups, path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while size_of_wal(path) > MOST_BYTES:
        assert time.monotonic() < deadline, f"the WAL has {size_of_wal(path):,} bytes"
        write_much(groups)


def read_without_a_gap(path: Path, begun: threading.Event, over: threading.Event) -> None:
    """Have a read transaction open at every moment, though none for long."""

    def moments() -> Iterator[sqlite.driver.Connection]:
        for number in itertools.count():
            connection = connections[number % 2]
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM groups").fetchall()
            yield connection

    with (
        closing(sqlite.driver.connect(path, isolation_level=None)) as one,
        closing(sqlite.driver.connect(path, isolation_level=None)) as other,
    ):
        connections = (one, other)
        every = moments()
        before = next(every)
        begun.set()
        while not over.is_set():
            after = next(every)
            before.execute("ROLLBACK")
            before = after
            time.sleep(0.001)


@pytest.mark.slow
def test_the_wal_is_emptied_though_somebody_reads_at_every_moment(path: Path) -> None:
    """A WAL that has grown large gets small again between reads that overlap."""
    begun, over = threading.Event(), threading.Event()
    with beryl_groups.start(path, busy_timeout=0) as groups:
        groups.create("group")
        reading = in_thread(lambda: read_without_a_gap(path, begun, over))
        try:
            wait_until(begun.is_set)
            for _ in range(3):
                write_much(groups)
            write_until_it_is_small(groups, path)
        finally:
            over.set()
            reading.result(PATIENCE)


@pytest.mark.slow
def test_a_reader_that_holds_on_stops_no_writer(path: Path) -> None:
    """Calls work on beside a read that does not end, and the WAL is emptied when it does."""
    with beryl_groups.start(path) as groups:
        groups.create("group")
        with closing(sqlite.driver.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM groups").fetchall() == [(1,)]
            write_much(groups)
            assert size_of_wal(path) > MOST_BYTES
            groups.create("another")
            assert reader.execute("SELECT count(*) FROM groups").fetchall() == [(1,)]
        write_until_it_is_small(groups, path)
        assert groups.check() == []
