"""What the end of a handle leaves of a file and beside it: one file, and nothing open."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Closed
from tests.contract.test_fork import make_group
from tests.processes import (
    PATIENCE,
    gather,
    in_thread,
    open_files,
    opened_since,
    together,
    wait_until,
)
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="this system does not show what a process has open"
)


def files_beside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def open_beside(path: Path) -> list[str]:
    """Name what this process has open of a database."""
    return [name for name in open_files() if name.startswith(str(path))]


@needs_proc
def test_a_close_leaves_one_file(path: Path) -> None:
    """After close() the -wal and -shm files are gone, and nothing of the database is open."""
    with beryl_groups.start(path) as groups:
        make_group(groups)
        together(*[partial(groups.topics, "group")] * 4)
        assert files_beside(path) == ["groups.db", "groups.db-shm", "groups.db-wal"]
    assert files_beside(path) == ["groups.db"]
    assert open_beside(path) == []


@needs_proc
def test_a_close_leaves_another_handle_alone(path: Path) -> None:
    """Of two handles on a file the one goes on after the other has been closed."""
    with beryl_groups.start(path) as groups:
        assert list(groups) == []
        with beryl_groups.start(path) as other:
            make_group(other)
        assert files_beside(path) == ["groups.db", "groups.db-shm", "groups.db-wal"]
        assert groups.topics("group") == {"a"}
        groups.create("new")
    assert files_beside(path) == ["groups.db"]


@needs_proc
@pytest.mark.parametrize("in_memory", [False, True])
def test_many_starts_and_closes_leak_nothing(path: Path, in_memory: bool) -> None:
    """60 handles that are opened, used and closed leave no descriptor and no thread."""
    database = ":memory:" if in_memory else path
    beryl_groups.start(database).close()
    before, threads = open_files(), threading.active_count()
    for turn in range(60):
        with beryl_groups.start(database) as groups:
            groups.create(f"{turn}")
            assert f"{turn}" in groups
    assert opened_since(before) == []
    assert threading.active_count() <= threads


def folder_in_memory(groups: Groups) -> Path:
    return Path(store(groups).location.path).parent


def test_a_database_in_memory_goes_with_its_handle() -> None:
    """After the close of a handle on ":memory:" nothing of it is left."""
    with beryl_groups.start(":memory:") as groups:
        make_group(groups)
        folder = folder_in_memory(groups)
        assert folder.is_dir()
    assert not folder.exists()


def call_until_closed(groups: Groups, call: Callable[[Groups], object]) -> bool:
    """Call for ever, and return when the handle is closed; any other error is the test's."""
    while True:
        try:
            call(groups)
        except Closed:
            return True


def add_often(groups: Groups) -> None:
    groups.add("group", "a", "b")


def transact(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.add("group", "a")


READ_OR_WRITE: list[Callable[[Groups], object]] = [
    *[add_often] * 3,
    *[transact] * 2,
    *[lambda groups: groups.topics("group")] * 3,
    lambda groups: groups.check(),
    lambda groups: groups.broadcast(lambda *_: None, "group", "event", None),
]


def close_beside_threads(path: Path, database: str | Path) -> int:
    beryl_groups.start(path).close()
    before = open_files()
    for turn in range(25):
        groups = beryl_groups.start(database)
        with suppress(AlreadyExists):
            groups.create("group")
        ends = [in_thread(partial(call_until_closed, groups, call)) for call in READ_OR_WRITE]
        while groups.topics("group") != {"a", "b"}:
            pass
        groups.close()
        assert all(end.result(PATIENCE) for end in ends)
        assert opened_since(before) == [], turn
        assert files_beside(path) == ["groups.db"], turn
    return turn


@needs_proc
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_close_beside_other_threads_ends_their_calls(path: Path, in_memory: bool) -> None:
    """Calls that a close meets succeed or raise Closed; none hangs, nothing is left open."""
    # In a process of its own, for SQLite crashes where a connection is closed too early.
    gather(close_beside_threads, [(path, ":memory:" if in_memory else path)])
    assert files_beside(path) == ["groups.db"]


@pytest.mark.slow
def test_handles_that_close_at_the_same_moment_leave_nothing_behind(path: Path) -> None:
    """Of several last connections that are closed together, one takes the sidecar files along."""
    beryl_groups.start(path).close()
    for turn in range(100):
        handles = [beryl_groups.start(path) for _ in range(4)]
        for each in handles:
            each.create("group", exist_ok=True)
        together = threading.Barrier(len(handles))

        def close(handle: Groups, together: threading.Barrier = together) -> None:
            together.wait(PATIENCE)
            handle.close()

        for end in [in_thread(partial(close, each)) for each in handles]:
            end.result(PATIENCE)
        assert files_beside(path) == ["groups.db"], turn


def test_a_close_refuses_those_that_wait(path: Path) -> None:
    """A call that waits for its turn raises Closed at once; the one whose turn it is succeeds."""
    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        make_group(groups)
        with groups.transaction() as transaction:
            transaction.add("group", "before")
            waiting = [in_thread(partial(call, groups)) for call in (add_often, transact)]
            wait_until(lambda: len(store(groups)._writer._queue) == 2)
            groups.close()
            for each in waiting:
                assert isinstance(each.exception(PATIENCE), Closed)
            transaction.add("group", "after")
    assert files_beside(path) == ["groups.db"]
    with beryl_groups.start(path) as groups:
        assert groups.topics("group") == {"a", "before", "after"}


@needs_proc
def test_a_forgotten_handle_warns_and_closes(path: Path) -> None:
    """A handle that nobody holds any more gives a ResourceWarning and leaves nothing open."""
    groups = beryl_groups.start(path)
    make_group(groups)
    with pytest.warns(ResourceWarning, match=r"<Groups of '.*groups\.db', open> was never closed"):
        del groups
    assert open_beside(path) == []
    assert files_beside(path) == ["groups.db"]


@needs_proc
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_forgotten_handle_closes_where_warnings_are_errors(path: Path, in_memory: bool) -> None:
    """So it does where a filter turns the warning into an error."""
    groups = beryl_groups.start(":memory:" if in_memory else path)
    make_group(groups)
    database = Path(store(groups).location.path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del groups
    assert open_beside(database) == []
    assert database.exists() != in_memory


FORGETFUL = """
import beryl_groups
def keeps_the_names_of_this_program_until_nothing_can_be_imported(): ...
groups = beryl_groups.start(":memory:")
groups.create("group")
print(groups._engine.location.path)
"""


def test_a_program_that_closes_nothing_leaves_nothing_in_memory() -> None:
    """At the end of a program a database in memory goes, even where its handle was forgotten."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORGETFUL],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    assert done.stdout.endswith("groups.db\n")
    assert not Path(done.stdout.strip()).parent.exists()


@pytest.mark.parametrize("raises", [False, True])
def test_a_close_inside_a_transaction_leaves_one_file(path: Path, raises: bool) -> None:
    """So does a handle that is closed inside of its own block, however that ends."""
    with suppress(ZeroDivisionError), beryl_groups.start(path) as groups, groups.transaction():
        groups.close()
        if raises:
            raise ZeroDivisionError
    assert files_beside(path) == ["groups.db"]
