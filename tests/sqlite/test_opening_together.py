"""Many that open the same new file at the same moment: all succeed, and one makes the schema."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import AlreadyExists
from tests.processes import PATIENCE, context, gather, together
from tests.sqlite.opening import run_sql, schema_of
from tests.sqlite.revisions import installed, with_next

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier as ProcessBarrier
    from pathlib import Path

WORKERS = range(8)
ROUNDS = 50


@contextmanager
def breaking(barrier: Barrier | ProcessBarrier) -> Iterator[None]:
    """Have the others fail as well, and not wait, where one fails."""
    try:
        yield
    except BaseException:
        barrier.abort()
        raise


def open_and_write(path: Path, worker: int) -> None:
    """Open the file and leave a group of one's own, and a topic in the group of all."""
    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        with suppress(AlreadyExists):
            groups.create("all")
        groups.add("all", f"topic:{worker}")
        groups.create(f"worker:{worker}")
        groups.add(f"worker:{worker}", "own")


def open_in_turn(
    folder: Path, barrier: Barrier | ProcessBarrier, rounds: int, package: Path | None, worker: int
) -> None:
    """Open one file after another, each at the same moment as all other workers."""
    with installed(package), breaking(barrier):
        for number in range(rounds):
            barrier.wait(PATIENCE)
            open_and_write(folder / f"{number}.db", worker)


def check_files(folder: Path, rounds: int, like: Path) -> None:
    """See that each file has the schema once, and all that was written to it."""
    schema = schema_of(like)
    for number in range(rounds):
        path = folder / f"{number}.db"
        with beryl_groups.start(path) as groups:
            assert list(groups) == ["all", *(f"worker:{worker}" for worker in WORKERS)]
            assert groups.topics("all") == {f"topic:{worker}" for worker in WORKERS}
            assert groups.groups_of("own") == [f"worker:{worker}" for worker in WORKERS]
            assert groups.check() == []
        assert schema_of(path) == schema


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files of the rounds are made, and nothing else."""
    made = tmp_path / "rounds"
    made.mkdir()
    return made


@pytest.mark.slow
def test_processes_open_a_new_file_together(folder: Path, path: Path) -> None:
    """8 processes open the same new file at the same moment and write to it, 50 times."""
    barrier = context.Barrier(len(WORKERS))
    gather(open_in_turn, [(folder, barrier, ROUNDS, None, worker) for worker in WORKERS])
    beryl_groups.start(path).close()
    check_files(folder, ROUNDS, path)


@pytest.mark.slow
def test_threads_open_a_new_file_together(folder: Path, path: Path) -> None:
    """8 threads open the same new file at the same moment and write to it, 50 times."""
    barrier = Barrier(len(WORKERS))
    together(*[partial(open_in_turn, folder, barrier, ROUNDS, None, worker) for worker in WORKERS])
    beryl_groups.start(path).close()
    check_files(folder, ROUNDS, path)


@pytest.mark.slow
def test_threads_open_new_files_of_their_own_together(folder: Path, path: Path) -> None:
    """8 threads open 8 different new files at the same moment, 10 times."""
    beryl_groups.start(path).close()
    for number in range(10):
        paths = [folder / f"{number}-{worker}.db" for worker in WORKERS]
        together(*[partial(open_and_write, own, worker) for worker, own in enumerate(paths)])
        for worker, own in enumerate(paths):
            with beryl_groups.start(own) as groups:
                assert list(groups) == ["all", f"worker:{worker}"]
                assert groups.check() == []
            assert schema_of(own) == schema_of(path)


@pytest.mark.slow
def test_processes_bring_an_older_file_up_to_date_together(
    folder: Path, path: Path, tmp_path: Path
) -> None:
    """8 processes open the same file of an older revision at the same moment, 10 times."""
    rounds = 10
    for number in range(rounds):
        with beryl_groups.start(folder / f"{number}.db") as groups:
            groups.create("all")
    package = with_next(tmp_path, 'op.add_column("groups", sa.Column("colour", sa.Text()))')
    barrier = context.Barrier(len(WORKERS))
    gather(open_in_turn, [(folder, barrier, rounds, package, worker) for worker in WORKERS])
    with installed(package):
        beryl_groups.start(path).close()
        check_files(folder, rounds, path)
        assert run_sql(path, "SELECT version_num FROM beryl_groups_version") == [("9999",)]
