"""What is no file, or may not be touched, is named as that: a database, a backup, its target."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import GroupError, StartFailed, StorageFailed
from tests.commandline.running import refusal
from tests.contract.copies import made
from tests.sqlite.opening import everything, folder_for_all, give_to_nobody, unprivileged

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups

KINDS = ("folder", "pipe", "socket", "device")


@pytest.fixture
def odd(tmp_path: Path) -> dict[str, Path]:
    """What has a name as a file has, by what it is."""
    paths = {kind: tmp_path / kind for kind in KINDS}
    paths["folder"].mkdir()
    os.mkfifo(paths["pipe"], 0o400)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(paths["socket"]))
    paths["device"].symlink_to(os.devnull)
    return paths


def test_what_is_no_file_is_no_database(odd: dict[str, Path], path: Path) -> None:
    """It is named as what it is, whoever opens it, and nobody waits for the end of a pipe."""
    for kind, given in odd.items():
        with pytest.raises(StartFailed) as refused:
            beryl_groups.start(given).close()
        assert refused.value.reason == f"it is a {kind}"
        for command in (["list", given], ["backup", given, path], ["create", given, "team"]):
            assert refusal(*command).endswith(f"cannot be opened: it is a {kind}.")
        assert f"it is a {kind}." in refusal("restore", given, path)


def test_what_is_no_file_is_no_backup(groups: Groups, path: Path, odd: dict[str, Path]) -> None:
    """It is not read, not written over, and the database stays as it was."""
    groups.create("before")
    for kind, given in odd.items():
        with pytest.raises(StorageFailed, match=f"was not restored: it is a {kind}\\.$"):
            groups.restore(given)
        for database in (path, path.with_name("new.db")):
            assert refusal("restore", database, given).endswith(f"it is a {kind}.")
        with pytest.raises(StorageFailed, match="there is something of that name already"):
            groups.backup(given)
        assert "of that name already" in refusal("backup", path, given)
    assert list(groups) == ["before"]
    assert not path.with_name("new.db").exists()


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_what_is_no_file_beside_a_database_is_refused(path: Path, ending: str) -> None:
    """A pipe in the place of a file that SQLite keeps is waited for by nobody."""
    made(path, {"team": {"a"}})
    beside = path.with_name(path.name + ending)
    os.mkfifo(beside)
    before = path.read_bytes()
    with pytest.raises(StartFailed) as refused:
        beryl_groups.start(path).close()
    assert refused.value.reason == f"{beside.name!r} beside it is no file"
    with (
        beryl_groups.start(":memory:") as groups,
        pytest.raises(StorageFailed, match="beside it is no file"),
    ):
        groups.restore(path)
    assert path.read_bytes() == before


def test_a_slash_at_the_end_is_that_of_a_folder(groups: Groups, path: Path) -> None:
    """A file is found under no such name, and none is made under it."""
    given, new = f"{path}/", f"{path.with_name('new.db')}/"
    for slashed in (given, new):
        with pytest.raises(StartFailed, match="a name with a slash at its end is that of a folder"):
            beryl_groups.start(slashed).close()
        with pytest.raises(StorageFailed, match="was not restored: "):
            groups.restore(slashed)
        with pytest.raises(StorageFailed, match="was not made: "):
            groups.backup(slashed)
    assert "cannot be opened" in refusal("list", given)
    assert [each.name for each in path.parent.iterdir() if "groups.db" not in each.name] == []


def told_as_nobody(folder: Path) -> list[str]:
    told = []
    with beryl_groups.start(folder / "groups.db") as groups:
        for call, path in (
            (groups.restore, folder / "private.db"),
            (groups.backup, folder / "closed" / "copy.db"),
            (groups.backup, folder / "missing" / "copy.db"),
        ):
            with pytest.raises(GroupError) as failure:
                call(path)
            told.append(str(failure.value))
    told.append(refusal("backup", folder / "groups.db", folder / "closed" / "copy.db"))
    return told


def test_what_may_not_be_touched_is_told(tmp_path: Path) -> None:
    """A backup that may not be read, and a folder that may not be written or is not there."""
    with folder_for_all() as folder:
        made(folder / "private.db", {"team": {"a"}}).chmod(0 if os.getuid() else 0o600)
        (folder / "closed").mkdir(0o555)
        beryl_groups.start(folder / "groups.db").close()
        give_to_nobody(folder / "groups.db")
        private, closed, missing, commanded = unprivileged(told_as_nobody, folder)
        assert private.endswith("was not restored: permission to read it is denied.")
        denied = f"permission to write in the folder '{folder / 'closed'}' is denied."
        assert closed.endswith(f"was not made: {denied}")
        assert commanded == closed
        assert missing.endswith(f"was not made: there is no folder '{folder / 'missing'}'.")
        assert set(everything(folder)) == {"private.db", "closed", "groups.db"}


def refused_beside(path: Path, backup: Path) -> str:
    with beryl_groups.start(path) as groups:
        path.parent.chmod(0o555)
        with pytest.raises(StorageFailed) as failure:
            groups.restore(backup)
        path.parent.chmod(0o755)
        return str(failure.value)


def test_a_folder_without_room_for_the_copy_of_a_backup_is_told() -> None:
    """It is the folder of the database, and not that of the backup, which may not be written."""
    with folder_for_all() as shared:
        backup = made(shared / "copy.db", {"team": {"a"}})
        backup.chmod(0o644)
        folder = shared / "folder"
        folder.mkdir()
        beryl_groups.start(folder / "groups.db").close()
        give_to_nobody(folder, folder / "groups.db")
        assert unprivileged(refused_beside, folder / "groups.db", backup) == (
            f"The backup {str(backup)!r} was not restored: no copy of it can be made beside the "
            f"database: permission to write in the folder {str(folder)!r} is denied."
        )
