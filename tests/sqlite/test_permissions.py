"""Who may do what with the files of a database, and what happens when that changes."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed, StorageFailed
from tests.processes import PATIENCE, in_thread
from tests.sqlite.opening import everything, folder_for_all, give_to_nobody, run_sql, unprivileged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def modes(path: Path) -> dict[str, str]:
    return {entry.name: oct(entry.stat().st_mode & 0o777) for entry in path.parent.iterdir()}


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o600, 0o640), (0o666, 0o400)])
def test_sidecar_files_follow_the_mode_of_the_file(path: Path, before: int, after: int) -> None:
    """A file that is closed to others while it is open takes its sidecar files along."""
    beryl_groups.start(path).close()
    path.chmod(before)
    with beryl_groups.start(path) as groups:
        groups.create("team")
        assert set(modes(path).values()) == {oct(before)}
        path.chmod(after)
        # At the next connection: here that of a second thread, or of a second process.
        with groups.transaction():
            in_thread(lambda: list(groups)).result(PATIENCE)
        beryl_groups.start(path).close()
        assert set(modes(path).values()) == {oct(after)}
        assert list(groups) == ["team"]


@contextmanager
def read_only_file_system(folder: Path) -> Iterator[Path]:
    """Give a file system of its own, with a database in it, that may only be read."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("to mount a file system is not allowed here")
    try:
        path = folder / "groups.db"
        with beryl_groups.start(path) as groups:
            groups.create("team")
            groups.add("team", "a")
        path.chmod(0o644)
        folder.chmod(0o755)
        give_to_nobody(folder, path)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield path
    finally:
        subprocess.run(["umount", folder], check=True)


def use(path: Path) -> tuple[list[object], list[str]]:
    """Return what reads give, and what writes raise."""
    said: list[str] = []
    read: list[object] = []
    with beryl_groups.start(path) as groups:
        read += [list(groups), groups.topics("team"), groups.groups_of("a"), groups.check()]
        for _ in range(2):
            with pytest.raises(StorageFailed) as caught:
                groups.add("team", "late")
            said.append(str(caught.value))
        with pytest.raises(StorageFailed) as caught, groups.transaction() as transaction:
            transaction.create("late")
        said.append(str(caught.value))
        with pytest.raises(StorageFailed) as caught:
            groups.backup(path.with_name("copy.db"))
        assert list(groups) == ["team"]
    return read, said


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a file system")
@pytest.mark.parametrize("as_root", [False, True])
def test_a_file_system_that_may_only_be_read_is_read(as_root: bool) -> None:
    """Every read works, each write says why it cannot, and a new file says so too."""
    with folder_for_all() as folder, read_only_file_system(folder) as path:
        before = everything(folder)
        read, said = use(path) if as_root else unprivileged(use, path)
        assert read == [["team"], {"a"}, ["team"], []]
        assert all("may only be read" in sentence for sentence in said), said
        with pytest.raises(StartFailed, match="read-only file system"):
            beryl_groups.start(folder / "new.db").close()
        assert everything(folder) == before


def test_a_file_that_is_replaced_is_not_mixed_up(path: Path) -> None:
    """A handle opens no second file under the name of its own: a connection that it needs fails."""
    other = path.with_name("other.db")
    with beryl_groups.start(other) as groups:
        groups.create("theirs")
    replacement = other.read_bytes()
    with beryl_groups.start(path) as groups:
        groups.create("ours")
        kept = path.with_name("kept.db")
        path.rename(kept)
        other.rename(path)
        with groups.transaction() as transaction:
            transaction.create("in the old file")
            with pytest.raises(StorageFailed, match="moved or replaced"):
                in_thread(lambda: list(groups)).result(PATIENCE)
        assert path.read_bytes() == replacement
        path.unlink()
        kept.rename(path)
        with groups.transaction():
            assert in_thread(lambda: list(groups)).result(PATIENCE) == ["in the old file", "ours"]
    assert run_sql(path, "SELECT name FROM groups ORDER BY id") == [("ours",), ("in the old file",)]


def test_a_file_that_is_deleted_is_missed(path: Path) -> None:
    """A connection that is needed after that fails with a sentence."""
    with beryl_groups.start(path) as groups:
        groups.create("ours")
        path.unlink()
        with groups.transaction(), pytest.raises(StorageFailed, match="moved or replaced"):
            in_thread(lambda: list(groups)).result(PATIENCE)
        assert not path.exists()
