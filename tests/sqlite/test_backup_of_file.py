"""What a copy of a file, and of a database in memory, is beside what any copy is."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StorageFailed
from tests.contract.copies import contents, fill, names_in
from tests.processes import gather

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups


def test_a_database_in_memory_can_be_copied_to_a_file(target: Path) -> None:
    """What lives in memory can be kept."""
    with beryl_groups.start(":memory:") as groups:
        fill(groups)
        groups.backup(target)
        with beryl_groups.start(target) as copy:
            assert contents(copy) == contents(groups)


def test_a_backup_onto_the_database_itself_is_refused(groups: Groups, path: Path) -> None:
    """The path of the database is refused under each of its names, and the database is unharmed."""
    groups.create("group")
    path.with_name("hard link.db").hardlink_to(path)
    path.with_name("symbolic link.db").symlink_to(path)
    for name in (path.name, "hard link.db", "symbolic link.db"):
        with pytest.raises(StorageFailed, match="was not made"):
            groups.backup(path.with_name(name))
    assert list(groups) == ["group"]
    assert groups.check() == []


def test_a_backup_that_runs_out_of_disk_leaves_nothing(path: Path, target: Path) -> None:
    """Where the copy does not fit, a sentence names its path, nothing is left, and calls work."""
    sentence, names = gather(copy_without_room, [(path, target)])[0]
    assert f"{str(target)!r} was not made" in sentence
    assert names == []
    with beryl_groups.start(path) as groups:
        assert "afterwards" in groups


def copy_without_room(path: Path, target: Path) -> tuple[str, list[str]]:
    """A limit on the size of files stands for the end of the disk."""
    with beryl_groups.start(path) as groups:
        fill(groups)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
        with pytest.raises(StorageFailed) as failure:
            groups.backup(target)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        groups.create("afterwards")
    return str(failure.value), names_in(target.parent)
