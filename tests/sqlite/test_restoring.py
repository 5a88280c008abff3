"""What is no sound backup of ours is refused, with the database and the file as they were."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StorageFailed
from tests.commandline.running import run
from tests.contract.copies import contents, made
from tests.sqlite.opening import (
    another_process,
    everything,
    folder_for_all,
    give_to_nobody,
    kill_another_process,
    run_sql,
    unprivileged,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup in a folder of its own."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return made(folder / "copy.db", {"group": {f"topic:{n}" for n in range(3000)}})


def sql(*statements: str) -> Callable[[Path], object]:
    return lambda path: run_sql(path, *statements, "PRAGMA wal_checkpoint(TRUNCATE)")


def tear(path: Path) -> None:
    """Overwrite a page in the middle."""
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 4096)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def foreign(path: Path) -> None:
    path.unlink()
    run_sql(path, "CREATE TABLE theirs (x)", "PRAGMA application_id = 77")


def of_nobody(path: Path) -> None:
    path.unlink()
    run_sql(path, "CREATE TABLE theirs (x)")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "there is no such file"),
    "a folder": (a_folder, "it is a folder"),
    "a pipe": (a_pipe, "it is a pipe"),
    "empty": (lambda path: os.truncate(path, 0), "it is empty"),
    "a text": (lambda path: path.write_text("groups!" * 500), "no SQLite database"),
    "foreign": (foreign, r"belongs to another application \(application_id 77\)"),
    "of nobody": (of_nobody, "belongs to another application"),
    "newer": (
        sql("UPDATE beryl_groups_version SET version_num = '9999'"),
        "has the revision 9999, and .* upgrade the package",
    ),
    "torn": (tear, "damaged"),
    "cut short": (cut, "damaged"),
    "a bad name": (sql("UPDATE groups SET name = ''"), "breaks the rules"),
    "another column": (
        sql("ALTER TABLE groups ADD COLUMN x TEXT"),
        "'groups' is not as beryl_groups",
    ),
    "a trigger": (
        sql("CREATE TRIGGER t AFTER INSERT ON groups BEGIN DELETE FROM groups; END"),
        "trigger 't'",
    ),
    "a view": (
        sql(
            "DROP VIEW memberships",
            "DROP TABLE group_topics",
            "CREATE VIEW group_topics AS SELECT 1 AS group_id, 'x' AS topic",
        ),
        "'group_topics' is not as beryl_groups",
    ),
    "a journal": (
        lambda path: path.with_name("copy.db-journal").write_bytes(b"x" * 600),
        "somebody is writing to it",
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_what_is_no_sound_backup_is_refused(
    groups: Groups, path: Path, backup: Path, kind: str
) -> None:
    """A sentence names the file and the reason, and not a byte of either has changed."""
    groups.create("before")
    groups.add("before", "topic")
    spoil, reason = SPOILT[kind]
    spoil(backup)
    of_the_backup = everything(backup.parent)
    of_the_database = everything(path.parent)

    with pytest.raises(StorageFailed, match=reason) as refused:
        groups.restore(backup)

    assert str(refused.value).startswith(f"The backup {str(backup)!r} was not restored: ")
    assert refused.value.__cause__ is not None
    assert everything(backup.parent) == of_the_backup
    assert everything(path.parent) == of_the_database
    assert contents(groups) == {"before": {"topic"}}


@pytest.mark.parametrize("name", ["groups.db", "link.db", "hard.db"])
def test_the_database_itself_is_refused(groups: Groups, path: Path, name: str) -> None:
    """By whatever name: a file is no backup of itself."""
    groups.create("group")
    given = path.with_name(name)
    if name == "link.db":
        given.symlink_to(path)
    elif name == "hard.db":
        given.hardlink_to(path)
    with pytest.raises(StorageFailed, match="it is the database itself"):
        groups.restore(given)
    assert list(groups) == ["group"]


@pytest.mark.parametrize("odd", ["", "no\0name"])
def test_a_name_that_no_file_can_have_is_refused(groups: Groups, odd: str) -> None:
    """A sentence says so, as of every other file that cannot be read."""
    with pytest.raises(StorageFailed, match="was not restored"):
        groups.restore(odd)


def test_a_backup_that_another_has_open_is_read_with_all_it_holds(
    groups: Groups, backup: Path
) -> None:
    """What lies in its WAL counts, also what a killed process has left there."""
    with another_process(backup, "INSERT INTO groups (name) VALUES ('open')"):
        before = everything(backup.parent)
        groups.restore(backup)
        assert list(groups) == ["group", "open"]
        assert everything(backup.parent) == before
    kill_another_process(backup, "INSERT INTO groups (name) VALUES ('killed')")
    before = everything(backup.parent)
    groups.restore(backup)
    assert list(groups) == ["group", "killed", "open"]
    assert everything(backup.parent) == before


def restore_as_nobody(path: Path, backup: Path) -> list[str]:
    with beryl_groups.start(path) as groups:
        groups.restore(backup)
        return list(groups)


def test_a_backup_that_may_only_be_read_stays_alone(backup: Path) -> None:
    """Neither it nor its folder has to be written to, and no file appears beside it."""
    with folder_for_all() as folder:
        given = folder / "backups" / backup.name
        shutil.copytree(backup.parent, given.parent)
        given.chmod(0o444)
        given.parent.chmod(0o555)
        before = everything(given.parent)
        path = folder / "groups.db"
        beryl_groups.start(path).close()
        give_to_nobody(path)
        assert unprivileged(restore_as_nobody, path, given) == ["group"]
        assert everything(given.parent) == before
        given.parent.chmod(0o755)


@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
def test_a_backup_with_a_wal_that_nobody_has_open_stays_alone(folder_mode: int) -> None:
    """What the WAL of a copied database holds counts, and no file appears that is the reader's."""
    with folder_for_all() as folder:
        original = made(folder / "original.db", {"group": {"topic"}})
        kill_another_process(original, "INSERT INTO groups (name) VALUES ('killed')")
        given = folder / "backups" / "copy.db"
        given.parent.mkdir()
        for ending in ("", "-wal"):
            shutil.copy(f"{original}{ending}", f"{given}{ending}")
            Path(f"{given}{ending}").chmod(0o444)
        given.parent.chmod(folder_mode)
        before = everything(given.parent)
        path = folder / "groups.db"
        beryl_groups.start(path).close()
        give_to_nobody(path)
        assert unprivileged(restore_as_nobody, path, given) == ["group", "killed"]
        assert everything(given.parent) == before
        assert run("restore", folder / "new.db", given).errors == ""
        assert run("list", folder / "new.db").output == "group\nkilled\n"
        assert everything(given.parent) == before
        given.parent.chmod(0o755)


def test_what_a_crash_has_left_undoes_nothing(path: Path, backup: Path) -> None:
    """Beside a file whose process was killed lies a WAL, which would undo a copy over the file."""
    beryl_groups.start(path).close()
    kill_another_process(path, "INSERT INTO groups (name) VALUES ('before')")
    assert path.with_name("groups.db-wal").stat().st_size > 0
    with beryl_groups.start(path) as groups:
        assert list(groups) == ["before"]
        groups.restore(backup)
    with beryl_groups.start(path) as groups:
        assert list(groups) == ["group"]
        assert groups.check() == []


def test_orphans_of_the_database_are_gone_afterwards(
    groups: Groups, path: Path, backup: Path
) -> None:
    """Rows that an edit has left behind without their group are replaced as all else."""
    groups.create("before")
    run_sql(path, "INSERT INTO group_topics VALUES (77, 'orphan')")
    assert groups.check() != []
    groups.restore(backup)
    assert groups.check() == []


def test_orphans_of_a_backup_are_left_out(groups: Groups, backup: Path) -> None:
    """A backup of a file that the shell has edited with foreign keys off can be restored."""
    run_sql(
        backup,
        "PRAGMA foreign_keys = OFF",
        "INSERT INTO group_topics VALUES (77, 'orphan')",
        "CREATE TABLE notes (group_id REFERENCES groups)",
        "INSERT INTO notes VALUES (78)",
    )
    groups.restore(backup)
    assert groups.groups_of("orphan") == []
    assert list(groups) == ["group"]
    assert groups.check() == []


def refused_as_nobody(path: Path, backup: Path) -> tuple[str, list[str]]:
    with beryl_groups.start(path) as groups:
        with pytest.raises(StorageFailed) as refused:
            groups.restore(backup)
        return str(refused.value), list(groups)


@pytest.mark.parametrize(
    ("folder_mode", "reason"), [(0o777, "may only be read"), (0o555, "was not restored")]
)
def test_a_database_that_may_only_be_read_is_not_restored(
    backup: Path, folder_mode: int, reason: str
) -> None:
    """A sentence says why, and the file is as it was."""
    with folder_for_all() as folder:
        path = folder / "groups.db"
        with beryl_groups.start(path) as groups:
            groups.create("before")
        path.chmod(0o444)
        given = folder / backup.name
        given.write_bytes(backup.read_bytes())
        folder.chmod(folder_mode)
        before = path.read_bytes()
        sentence, names = unprivileged(refused_as_nobody, path, given)
        assert reason in sentence
        assert names == ["before"]
        assert path.read_bytes() == before
