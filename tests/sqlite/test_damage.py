"""A file whose content is damaged: no read gives what is wrong, and ``check`` tells of it."""

from __future__ import annotations

import shutil
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed, StorageFailed, sqlite
from tests.commandline.running import refusal, run
from tests.contract.copies import made
from tests.processes import open_files
from tests.sqlite.opening import kill_another_process, run_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from beryl_groups import Groups

# How the rows of the file begin in which these names stand, with the type of the name as a text.
NAME, TOPIC = "marked-name", "marked-topic"
RECORDS = {
    "table": (b"\x04\x00\x23\x3d" + NAME.encode(), 2),
    "topics": (b"\x03\x09\x25" + TOPIC.encode(), 2),
}


@contextmanager
def broken_schema(path: Path) -> Iterator[None]:
    """Have the schema hold a statement that is no UTF-8, and later a sound one again."""
    put = "UPDATE sqlite_schema SET sql = CAST(? AS TEXT) WHERE name = 'log'"
    with closing(sqlite.driver.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for sql in (b"CREATE \xffABLE log (line TEXT)", b"CREATE TABLE log (line TEXT)"):
            (version,) = connection.execute("PRAGMA schema_version").fetchone()
            connection.execute(put, (sql,))
            connection.execute(f"PRAGMA schema_version = {version + 1}")
            if b"TABLE" not in sql:
                yield


def damage(groups: Groups) -> list[str]:
    """Return what ``check`` finds, be it so much that it cannot even begin."""
    try:
        return groups.check()
    except StorageFailed as error:
        return [str(error)]


@pytest.mark.parametrize("record", RECORDS)
def test_a_name_that_is_no_text_is_told_of(path: Path, record: str) -> None:
    """Where damage has made bytes of a name, no read gives them, and ``check`` tells of it."""
    with beryl_groups.start(path) as groups:
        groups.create(NAME)
        groups.add(NAME, TOPIC)
    (begin, place), content = RECORDS[record], path.read_bytes()
    assert content.count(begin) == 1
    blob = begin[:place] + bytes([begin[place] - 1]) + begin[place + 1 :]
    path.write_bytes(content.replace(begin, blob))
    with beryl_groups.start(path) as groups:
        reads: dict[str, Callable[[], object]] = {
            "table": lambda: groups.groups_of(TOPIC),
            "index": lambda: list(groups),
            "topics": lambda: groups.topics(NAME),
        }
        with pytest.raises(StorageFailed, match="a name in it is no text"):
            reads[record]()
        if record == "topics":
            with pytest.raises(StorageFailed, match="a name in it is no text"):
                groups.set_topics(NAME, [])
            with pytest.raises(StorageFailed, match="a name in it is no text"):
                groups.broadcast(print, NAME, "event", None)
        assert any("damaged" in problem for problem in groups.check())


def test_an_orphaned_topic_that_is_missing_is_told_of(path: Path) -> None:
    """``check`` finds words for a row without a group in which damage has left no topic either."""
    with beryl_groups.start(path) as groups:
        groups.create(NAME)
        groups.add(NAME, TOPIC)
    run_sql(path, "DELETE FROM groups")
    content, name = path.read_bytes(), TOPIC.encode()
    # A row of the table and one of the index: the length, and the types of what is in it.
    for begin, nothing in (
        (b"\x0f\x03\x09\x25", b"\x03\x03\x09\x00"),
        (b"\x0f\x03\x25\x09", b"\x03\x03\x00\x09"),
    ):
        assert content.count(begin + name) == 1
        content = content.replace(begin + name, nothing + name)
    path.write_bytes(content)
    with beryl_groups.start(path) as groups:
        problems = groups.check()
    assert any("orphaned" in problem and "cannot be read" in problem for problem in problems)


def test_a_schema_that_is_no_utf8_any_more_fails_the_calls(path: Path) -> None:
    """A running handle says so, in a transaction too, and goes on once the schema is mended."""
    with beryl_groups.start(path) as groups:
        groups.create("team")
        groups.add("team", "a", "b")
        run_sql(path, "CREATE TABLE log (line TEXT)")
        assert groups.topics("team") == {"a", "b"}
        with broken_schema(path):
            for call in (lambda: groups.topics("team"), lambda: groups.add("team", "c")):
                with pytest.raises(StorageFailed, match="no UTF-8"):
                    call()
            with pytest.raises(StorageFailed), groups.transaction() as transaction:
                transaction.add("team", "c")
            assert any("damaged" in problem for problem in damage(groups))
        groups.add("team", "d")
        assert groups.topics("team") == {"a", "b", "d"}


def test_an_error_that_is_kept_keeps_no_file_open(path: Path) -> None:
    """Whoever keeps an error for later does not keep a transaction open with it."""
    with beryl_groups.start(path) as groups:
        run_sql(path, "INSERT INTO groups (name) VALUES ('a'), (CAST(x'ff41' AS TEXT))")
        with pytest.raises(StorageFailed) as kept:
            groups.list_groups()
    assert kept.value.__traceback__ is not None
    assert [name for name in open_files() if str(path) in name] == []
    assert list(path.parent.iterdir()) == [path]


def test_a_damaged_file_says_which_files_to_move_away(tmp_path: Path, path: Path) -> None:
    """As one is over which a backup was copied beside its old WAL: a restore makes a new one."""
    backup = made(tmp_path / "copy.db", {"group": {f"topic:{n}" for n in range(3000)}})
    old = made(tmp_path / "old.db", {f"old:{n}": {f"{n}:{m}" for m in range(9)} for n in range(50)})
    shutil.copy(old, path)
    kill_another_process(
        path, "UPDATE groups SET name = name || 'x'", "UPDATE group_topics SET topic = topic || 'x'"
    )
    shutil.copy(backup, path)
    beside = [path, path.with_name("groups.db-wal"), path.with_name("groups.db-shm")]
    told = (
        "the file is damaged (database disk image is malformed): close every handle on it, move "
        f"{', '.join(repr(each.name) for each in beside)} away, and restore a backup into a new "
        "file"
    )
    with pytest.raises(StartFailed) as refused:
        beryl_groups.start(path)
    assert refused.value.reason == told
    assert refusal("restore", path, backup) == str(refused.value)
    for each in beside:
        each.unlink(missing_ok=True)
    assert run("restore", path, backup).errors == ""

    with beryl_groups.start(path) as groups:
        assert list(groups) == ["group"]
        with path.open("r+b") as file:
            file.seek(8 * 4096)
            file.write(b"\xff" * 4096)
        with pytest.raises(StorageFailed) as failed:
            groups.restore(backup)
        assert str(failed.value) == f"The database {str(path)!r} failed: {told}."
