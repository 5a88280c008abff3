"""What ``start`` refuses: with a sentence that names path and reason, and every byte kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed, revisions
from beryl_groups.sqlite import connections
from tests.sqlite.opening import (
    LOCK_TIMEOUT,
    another_process,
    everything,
    folder_for_all,
    give_to_nobody,
    kill_another_process,
    run_sql,
    unprivileged,
)

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = ("CREATE TABLE notes(text)", "INSERT INTO notes VALUES ('mine')")


def refusal(path: Path, busy_timeout: float = 5.0) -> str:
    """Return the reason for which the path is refused, and see that the refusal is clean."""
    before = everything(path.parent) if path.parent.is_dir() else {}
    with pytest.raises(StartFailed) as caught:
        beryl_groups.start(path, busy_timeout=busy_timeout).close()
    assert repr(str(path)) in str(caught.value)
    assert caught.value.reason in str(caught.value)
    assert caught.value.database == str(path)
    if before:
        assert everything(path.parent) == before
    return caught.value.reason


@pytest.mark.parametrize(
    "text", ["groups:\n", "SQLite format 3", "SQLite format 4\0" + "x" * 5000, "line\n" * 2000]
)
def test_a_text_file_is_refused(path: Path, text: str) -> None:
    """A file that is no database is refused, and stays what it was."""
    path.write_text(text)
    assert "no SQLite database" in refusal(path)


def test_a_file_of_one_byte_is_refused(path: Path) -> None:
    """A file that holds anything is refused, though SQLite takes one byte for none."""
    path.write_bytes(b"1")
    refusal(path)


def test_a_name_in_a_damaged_file_does_not_break_the_sentence(path: Path) -> None:
    """What SQLite says may hold a name out of the file; the sentence is one line nevertheless."""
    run_sql(
        path,
        "CREATE TABLE t(a)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET name = 'two' || char(10) || 'lines', sql = 'CREATE TABLE x('",
    )

    assert "(two lines)" in refusal(path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """No folder is made: the sentence names the one that is not there."""
    missing = tmp_path / "missing"
    assert refusal(missing / "groups.db") == f"there is no folder {str(missing)!r}"
    assert not missing.exists()


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    """A file where a folder should be is the reason that is given."""
    (tmp_path / "file").write_text("not a folder")
    assert "not a directory" in refusal(tmp_path / "file" / "groups.db")


def test_a_name_too_long_for_the_file_system_is_refused(tmp_path: Path) -> None:
    """What the system says of a path it cannot take is the reason."""
    assert "too long" in refusal(tmp_path / ("x" * 300))


@pytest.mark.parametrize("target", ["missing.db", "missing/groups.db", "groups.db"])
def test_a_link_that_leads_nowhere_is_refused(path: Path, target: str) -> None:
    """A link to nothing, or to itself, is refused, and no permission is blamed for it."""
    path.symlink_to(path.with_name("missing") if target == "missing.db" else target)
    assert "permission" not in refusal(path)


def test_a_path_with_a_nul_is_refused() -> None:
    """A NUL character ends no path early: it is refused."""
    with pytest.raises(StartFailed, match="NUL character"):
        beryl_groups.start("groups.db\0.txt").close()


@pytest.mark.parametrize("application_id", [0, 7, -1])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_of_another_application_is_refused(
    path: Path, mode: str, application_id: int
) -> None:
    """A database that is not ours is refused, whether it bears an application_id or none."""
    run_sql(path, f"PRAGMA journal_mode = {mode}", f"PRAGMA application_id = {application_id}")
    run_sql(path, *FOREIGN)
    assert "another application" in refusal(path)
    assert str(application_id) in refusal(path)
    assert run_sql(path, "SELECT text FROM notes") == [("mine",)]


@pytest.mark.parametrize("application_id", [0, 7])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_that_another_application_has_open_is_refused(
    path: Path, mode: str, application_id: int
) -> None:
    """What another application has in its log is not moved into its file."""
    marks = (f"PRAGMA journal_mode = {mode}", f"PRAGMA application_id = {application_id}")
    with another_process(path, *marks, *FOREIGN):
        assert path.with_name("groups.db-wal").exists() == (mode == "wal")
        assert "another application" in refusal(path)


def test_what_a_killed_application_left_in_its_log_stays_there(path: Path) -> None:
    """A log that nobody has open is not moved into the file of another application either."""
    kill_another_process(path, "PRAGMA journal_mode = wal", *FOREIGN)
    assert path.with_name("groups.db-wal").stat().st_size > 0
    assert "another application" in refusal(path)


def make_newer(path: Path) -> str:
    """Make a file, and return the SQL that gives it a schema of times to come."""
    beryl_groups.start(path).close()
    return "UPDATE beryl_groups_version SET version_num = '9999'"


def test_a_newer_schema_is_refused(path: Path) -> None:
    """A file from the future is refused with its revision and the newest known, and what to do."""
    run_sql(path, make_newer(path))
    reason = refusal(path)
    assert "9999" in reason
    assert revisions.HEAD in reason
    assert "upgrade the package" in reason


def test_a_newer_schema_that_is_in_use_is_refused(path: Path) -> None:
    """An old version beside a running new one refuses the file, and leaves its log alone."""
    with another_process(path, make_newer(path), "INSERT INTO groups(name) VALUES ('new')"):
        assert path.with_name("groups.db-wal").stat().st_size > 0
        assert "9999" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE beryl_groups_version",
        "DELETE FROM beryl_groups_version",
        "INSERT INTO beryl_groups_version VALUES ('9999')",
    ],
)
def test_a_file_without_one_revision_is_refused(path: Path, change: str) -> None:
    """A file that bears our mark but not one known revision is refused."""
    beryl_groups.start(path).close()
    run_sql(path, change)
    assert "revision" in refusal(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a database of many pages."""
    path = tmp_path_factory.mktemp("whole") / "groups.db"
    with beryl_groups.start(path) as groups, groups.transaction() as transaction:
        for number in range(300):
            transaction.create(f"group:{number}")
            transaction.add(f"group:{number}", *(f"topic:{topic}" for topic in range(10)))
    return path.read_bytes()


@pytest.mark.parametrize("length", [15, 16, 50, 99, 100, 512, 4095, 4096, 4097, 8192, 65536, -4096])
def test_a_truncated_database_is_refused(path: Path, whole: bytes, length: int) -> None:
    """A file that has lost pages is refused, and not filled up."""
    path.write_bytes(whole[:length])
    reason = refusal(path)
    assert "damaged" in reason or "no SQLite database" in reason


@pytest.mark.parametrize("lost", [1, 2000, 4095])
def test_check_finds_what_a_truncated_page_lost(path: Path, whole: bytes, lost: int) -> None:
    """A cut within the last page, which SQLite does not see at first, is found by ``check``."""
    path.write_bytes(whole[:-lost])
    with beryl_groups.start(path) as groups:
        assert any("damaged" in problem for problem in groups.check())
    assert path.read_bytes() == whole[:-lost]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_locked_file_is_refused(path: Path, mode: str) -> None:
    """A file that another process keeps to itself is refused when the time is up, not sooner."""
    beryl_groups.start(path).close()
    run_sql(path, f"PRAGMA journal_mode = {mode}")
    lock = ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "DELETE FROM groups")
    with another_process(path, *lock):
        reason = refusal(path, LOCK_TIMEOUT)
    assert "locked" in reason
    assert f"{LOCK_TIMEOUT:g} s" in reason
    beryl_groups.start(path).close()


def test_a_locked_empty_file_is_refused(path: Path) -> None:
    """A file that another process is about to fill is refused, and not filled by us."""
    path.touch()
    with another_process(path, "BEGIN EXCLUSIVE"):
        assert "locked" in refusal(path, LOCK_TIMEOUT)


def outcome(path: Path) -> str:
    """Tell how ``start`` ends."""
    try:
        beryl_groups.start(path).close()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "opened"


@pytest.mark.parametrize(
    ("folder_mode", "file_mode"),
    [(0o755, 0o000), (0o755, 0o200), (0o000, 0o600), (0o444, 0o600), (0o000, None), (0o555, None)],
    ids=lambda mode: "absent" if mode is None else oct(mode),
)
def test_a_file_without_permission_is_refused(folder_mode: int, file_mode: int | None) -> None:
    """Who may not read the file, reach it or make it, is told that permission is denied."""
    with folder_for_all() as shared:
        folder = shared / "folder"
        folder.mkdir()
        path = folder / "groups.db"
        if file_mode is not None:
            beryl_groups.start(path).close()
            give_to_nobody(path)
            path.chmod(file_mode)
        give_to_nobody(folder)
        before = everything(folder) if os.getuid() == 0 else None
        folder.chmod(folder_mode)
        result = unprivileged(outcome, path)
        if before is not None:
            assert everything(folder) == before
        folder.chmod(0o755)
    assert result.startswith(f"StartFailed: The database {str(path)!r} cannot be opened: ")
    assert "permission" in result


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o755, 0o444), (0o555, 0o644)], ids=oct)
def test_a_file_to_be_migrated_that_may_only_be_read_is_refused(
    folder_mode: int, file_mode: int
) -> None:
    """A file that is not current, and cannot be made so, is refused."""
    with folder_for_all() as shared:
        folder = shared / "folder"
        folder.mkdir()
        path = folder / "groups.db"
        path.touch()
        path.chmod(file_mode)
        folder.chmod(folder_mode)
        give_to_nobody(path, folder)
        result = unprivileged(outcome, path)
        assert everything(folder) == {"groups.db": b""}
        folder.chmod(0o755)
    assert result.startswith(f"StartFailed: The database {str(path)!r} cannot be opened: ")
    assert "may only be read" in result


def test_an_sqlite_that_is_too_old_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite is too old for the schema, the sentence says so and no file is made."""
    monkeypatch.setattr(connections, "OLDEST_SQLITE", (99, 1, 2))
    with pytest.raises(StartFailed, match=r"SQLite 99\.1\.2 or newer is needed"):
        beryl_groups.start(path).close()
    assert not path.exists()
