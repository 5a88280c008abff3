"""``":memory:"``: a database for all threads of one handle, which goes with it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Groups, StartFailed, revisions
from beryl_groups.sqlite import connections, locating
from tests.processes import PATIENCE, gather, in_thread, open_files, opened_since, together
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = ":memory:"


@pytest.fixture(params=["shared memory", "temporary files"])
def room(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's alone, where databases in memory are kept for its length.

    In place of the system's shared memory, and then of its folder for temporary files on a
    system that has no shared memory.
    """
    shared = request.param == "shared memory"
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(locating, "_SHARED_MEMORY", str(tmp_path if shared else elsewhere))
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere if shared else tmp_path))
    return tmp_path


@pytest.fixture(params=[MEMORY, "file"])
def handle(request: pytest.FixtureRequest, path: Path) -> Iterator[Groups]:
    """A handle on a database in memory, and then on one in a file."""
    with beryl_groups.start(MEMORY if request.param == MEMORY else path) as groups:
        yield groups


def home(groups: Groups) -> Path:
    """Return the folder in which a database in memory is kept."""
    return Path(store(groups).location.path).parent


def test_all_threads_of_a_handle_share_it(handle: Groups) -> None:
    """What any thread writes is there for all others, in memory as in a file."""
    names = [f"thread:{number}" for number in range(8)]

    def work(name: str) -> None:
        handle.create(name)
        handle.add(name, "shared")
        assert name in handle.groups_of("shared")

    together(*(lambda name=name: work(name) for name in names))
    assert list(handle) == handle.groups_of("shared") == names


def test_reads_of_other_threads_go_on_beside_a_transaction(handle: Groups) -> None:
    """Reads elsewhere neither wait for an open transaction nor see it, in memory as in a file."""
    handle.create("before")
    with handle.transaction() as transaction:
        transaction.create("inside")
        assert in_thread(lambda: list(handle)).result(PATIENCE) == ["before"]
        assert list(transaction) == ["before", "inside"]
    assert list(handle) == ["before", "inside"]


def test_two_handles_share_nothing() -> None:
    """Each handle in memory has a database of its own."""
    with beryl_groups.start(MEMORY) as one, beryl_groups.start(MEMORY) as other:
        one.create("team")
        assert list(other) == []
    with beryl_groups.start(MEMORY) as later:
        assert list(later) == []


def test_no_file_of_that_name_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder has no part in it."""
    monkeypatch.chdir(tmp_path)
    with beryl_groups.start(MEMORY) as groups:
        groups.create("team")
        assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_it_is_closed() -> None:
    """A closed handle has no file open and leaves nothing where the system keeps such things."""
    before = open_files()
    groups = beryl_groups.start(MEMORY)
    groups.create("team")
    together(*[lambda: groups.topics("team")] * 4)
    folder = home(groups)
    assert folder.exists()
    groups.close()
    assert not folder.exists()
    assert opened_since(before) == []
    groups.close()


def test_nothing_is_left_in_its_room(room: Path) -> None:
    """With shared memory or without, the database is in one folder, and that goes."""
    with beryl_groups.start(MEMORY) as groups:
        groups.create("team")
        assert list(room.iterdir()) == [home(groups)]
    assert list(room.iterdir()) == []


def test_nothing_is_left_of_a_forgotten_handle(room: Path) -> None:
    """A handle that nobody closed warns, and takes its database along."""

    def forget() -> None:
        beryl_groups.start(MEMORY).create("team")
        gc.collect()

    with pytest.warns(ResourceWarning, match="never closed"):
        forget()
    assert list(room.iterdir()) == []


def test_nothing_is_left_when_the_program_ends(tmp_path: Path) -> None:
    """A program that ends without closing leaves nothing behind."""
    program = f"""
import beryl_groups
from beryl_groups.sqlite import locating
locating._SHARED_MEMORY = {os.fspath(tmp_path)!r}
groups = beryl_groups.start(":memory:")
groups.create("team")
print(len(os.listdir({os.fspath(tmp_path)!r})))
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import os{program}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "1\n"
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_start_with_an_old_sqlite(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SQLite is too old, nothing is left of the attempt."""
    monkeypatch.setattr(connections, "OLDEST_SQLITE", (99, 0, 0))
    with pytest.raises(StartFailed, match="SQLite 99"):
        beryl_groups.start(MEMORY).close()
    assert list(room.iterdir()) == []


def test_nothing_is_left_of_a_start_whose_migration_failed(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the migrations fail, nothing is left of the attempt."""
    monkeypatch.setattr(revisions, "HEAD", "no such revision")
    with pytest.raises(StartFailed, match="no such revision"):
        beryl_groups.start(MEMORY).close()
    assert list(room.iterdir()) == []


def mode_of_its_folder(umask: int) -> int:
    os.umask(umask)
    with beryl_groups.start(MEMORY) as groups:
        return home(groups).stat().st_mode & 0o777


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777], ids=oct)
def test_it_is_for_its_owner_alone(umask: int) -> None:
    """Nobody else may look into the folder that stands for the memory, and its owner may."""
    assert gather(mode_of_its_folder, [(umask,)]) == [0o700]
