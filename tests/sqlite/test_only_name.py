"""A database file is opened only where all reach it under one name."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed, StorageFailed
from tests.commandline.running import refusal
from tests.processes import in_thread
from tests.sqlite.namespaces import needs_mounts, python_with_mounts
from tests.sqlite.opening import another_process, everything

if TYPE_CHECKING:
    from pathlib import Path

OPEN = """
import sys
import beryl_groups
for path in sys.argv[1:]:
    try:
        with beryl_groups.start(path) as groups:
            groups.create("new", exist_ok=True)
            print("opened", list(groups))
    except beryl_groups.StartFailed as error:
        print(error.reason)
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A database in a folder whose name has all that a table of mounts writes in its own way."""
    folder = tmp_path / "a b\\c\td"
    folder.mkdir()
    with beryl_groups.start(folder / "groups.db") as groups:
        groups.create("old")
    return folder / "groups.db"


def test_a_file_with_two_names_is_refused(made: Path, tmp_path: Path) -> None:
    """Under either of two hard links it is refused, by the command line too, and left as it is."""
    os.link(made, tmp_path / "other.db")
    before = everything(tmp_path)
    for path in (made, tmp_path / "other.db"):
        with pytest.raises(StartFailed, match=r"2 names \(hard links\)"):
            beryl_groups.start(path)
        assert "2 names (hard links)" in refusal("list", path)
    assert everything(tmp_path) == before
    (tmp_path / "other.db").unlink()
    with beryl_groups.start(made) as groups:
        assert list(groups) == ["old"]


def test_a_link_that_leads_to_the_file_is_no_other_name(made: Path, tmp_path: Path) -> None:
    """A symbolic link is followed to the one name, beside which everybody writes."""
    (tmp_path / "link.db").symlink_to(made)
    with beryl_groups.start(tmp_path / "link.db") as groups, beryl_groups.start(made) as other:
        groups.create("new")
        assert list(other) == ["new", "old"]


def test_a_name_that_goes_in_a_moment_is_waited_for(made: Path, tmp_path: Path) -> None:
    """A backup that is just getting its name is opened, and not refused."""
    other = tmp_path / "draft"
    os.link(made, other)
    opening = in_thread(lambda: beryl_groups.start(made))
    other.unlink()
    with opening.result() as groups:
        assert list(groups) == ["old"]


def test_a_backup_with_two_names_is_not_restored(made: Path, tmp_path: Path) -> None:
    """What its writer has beside another name would be left out, so a database says which it is."""
    with beryl_groups.start(tmp_path / "groups.db") as groups, beryl_groups.start(made) as live:
        live.create("in the WAL")
        groups.restore(made)
        assert list(groups) == ["in the WAL", "old"]
        live.create("later")
        os.link(made, tmp_path / "other.db")
        for given in (made, tmp_path / "other.db"):
            with pytest.raises(StorageFailed, match=r"was not restored: the file has 2 names"):
                groups.restore(given)
        assert "2 names (hard links)" in refusal("restore", tmp_path / "new.db", made)
        assert list(groups) == ["in the WAL", "old"]
        assert not (tmp_path / "new.db").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has locked a file")
def test_a_file_that_was_moved_while_it_was_open_is_not_restored(
    made: Path, tmp_path: Path
) -> None:
    """Beside its old name lies what was written last; once it is closed there, it can be."""
    moved = made.with_name("moved.db")
    with (
        beryl_groups.start(tmp_path / "groups.db") as groups,
        another_process(made, "INSERT INTO groups (name) VALUES ('in the WAL')"),
    ):
        made.rename(moved)
        with pytest.raises(StorageFailed, match="somebody has it open, and what was written last"):
            groups.restore(moved)
        assert "somebody has it open" in refusal("restore", tmp_path / "new.db", moved)
        assert list(groups) == []
        assert not (tmp_path / "new.db").exists()
        moved.rename(made)
        groups.restore(made)
        assert list(groups) == ["in the WAL", "old"]


RESTORE = """
import sys
import beryl_groups
with beryl_groups.start(":memory:") as groups:
    try:
        groups.restore(sys.argv[1])
    except beryl_groups.StorageFailed as error:
        print(error)
    print(list(groups))
"""


@needs_mounts
def test_a_backup_that_is_mounted_alone_is_not_restored(made: Path, tmp_path: Path) -> None:
    """It may be a database whose WAL was left outside."""
    (tmp_path / "inside.db").touch()
    with beryl_groups.start(made) as groups:
        groups.create("in the WAL")
        told, held = python_with_mounts(
            RESTORE, tmp_path / "inside.db", made, mounts='mount --bind "$2" "$1"'
        ).splitlines()
    assert "was not restored: it is mounted without its folder" in told
    assert held == "[]"


@needs_mounts
def test_a_file_that_is_mounted_alone_is_refused(made: Path, tmp_path: Path) -> None:
    """In a container that got the file without its folder, the sentence says what to mount."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "groups.db").touch()
    told = python_with_mounts(
        OPEN, inside / "groups.db", made, mounts='mount --bind "$2" "$1"'
    ).splitlines()
    refused, opened = told
    assert refused == (
        "it is mounted without its folder, and what is written last is kept in a file beside it: "
        "mount the folder that holds it"
    )
    assert opened == "opened ['new', 'old']"


@needs_mounts
def test_a_file_that_is_mounted_from_elsewhere_is_refused(made: Path, tmp_path: Path) -> None:
    """So it is where the file comes from another file system, as a container's does."""
    inside = tmp_path / "inside"
    inside.mkdir()
    mounts = 'mount -t tmpfs none "$1" && touch "$1/groups.db" && mount --bind "$2" "$1/groups.db"'
    script = OPEN.replace("sys.argv[1:]", "[sys.argv[1] + '/groups.db']")
    assert python_with_mounts(script, inside, made, mounts=mounts).startswith("it is mounted")


@needs_mounts
def test_a_mounted_folder_is_what_everybody_may_share(made: Path, tmp_path: Path) -> None:
    """With its folder the file is opened, and both sides see what either writes."""
    inside = tmp_path / "inside"
    inside.mkdir()
    script = OPEN.replace("sys.argv[1:]", "[sys.argv[1] + '/groups.db']")
    mounts = 'mount --bind "$(dirname "$2")" "$1"'
    with beryl_groups.start(made) as groups:
        told = python_with_mounts(script, inside, made, mounts=mounts)
        assert told == "opened ['new', 'old']\n"
        assert list(groups) == ["new", "old"]


@needs_mounts
def test_a_file_that_is_mounted_on_itself_is_opened(made: Path) -> None:
    """That makes one path writable for a service (systemd's ReadWritePaths), and no other name."""
    assert python_with_mounts(OPEN, made, mounts='mount --bind "$1" "$1"') == (
        "opened ['new', 'old']\n"
    )


ALL_CALLS = """
import sys
from pathlib import Path
import beryl_groups
folder = Path(sys.argv[1])
many = [f"topic:{n:060}" for n in range(80_000)]
try:
    Path("/tmp/scratch").touch()
except OSError:
    pass
else:
    sys.exit("there is a folder for temporary files")
with beryl_groups.start(folder / "groups.db") as groups:
    for turn in range(2):
        groups.add("large", *many, create=True)
        groups.delete("large")
    groups.create("large")
    groups.set_topics("large", many)
    groups.set_topics("large", many[:9])
    groups.add("large", *many)
    groups.rename("large", "huge")
    groups.remove("huge", *many)
    with groups.transaction() as transaction:
        transaction.add("new", *many, create=True)
        transaction.delete("new")
    groups.add("kept", "a", create=True)
    groups.backup(folder / "copy.db")
    groups.delete("kept")
    groups.restore(folder / "copy.db")
    assert groups.check() == []
    print(groups.list_groups(), groups.groups_of("a"))
"""


@pytest.mark.slow
@needs_mounts
def test_all_calls_work_without_a_folder_for_temporary_files(tmp_path: Path) -> None:
    """Where nothing but the database's own folder can be written, calls of any size succeed."""
    mounts = 'mount --bind "$1" "$1"\nmount -o remount,bind,ro /\numount /dev/shm || true'
    assert python_with_mounts(ALL_CALLS, tmp_path, mounts=mounts) == "['huge', 'kept'] ['kept']\n"
