"""Migrations that fail or are killed on the way: the file is as before, or brought up to date."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed
from beryl_groups.sqlite import connections
from tests.processes import gather
from tests.sqlite.opening import everything, run_sql, schema_of
from tests.sqlite.revisions import NEXT, installed, with_next

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups

ADD_COLUMN = 'op.add_column("groups", sa.Column("colour", sa.Text()))'

# SQLite checks every view when a table is renamed, so ours goes and comes back; Alembic keeps
# STRICT and AUTOINCREMENT only when told.
REBUILD = """
op.execute("DROP VIEW memberships")
kinds = {"sqlite_strict": True, "sqlite_autoincrement": True}
with op.batch_alter_table("groups", recreate="always", table_kwargs=kinds) as batch:
    batch.add_column(sa.Column("colour", sa.Text()))
op.execute(
    "CREATE VIEW memberships AS "
    "SELECT groups.name AS group_name, group_topics.topic AS topic "
    "FROM group_topics JOIN groups ON groups.id = group_topics.group_id"
)
"""

# More than the cache of a connection holds, so that the file or its log is written before the end.
WRITE_MUCH = """
op.execute("CREATE TABLE ballast(text TEXT) STRICT")
op.execute(
    "INSERT INTO ballast WITH RECURSIVE numbers(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1500) "
    "SELECT hex(randomblob(1000)) FROM numbers"
)
"""

CONTENT = {f"group:{number:02}": {f"topic:{topic}" for topic in range(20)} for number in range(20)}


def content(groups: Groups) -> dict[str, set[str]]:
    return {name: set(groups.topics(name)) for name in groups}


@pytest.fixture
def filled(path: Path) -> Path:
    """A closed file of the newest released revision, with data in it."""
    with beryl_groups.start(path) as groups, groups.transaction() as transaction:
        for name, topics in CONTENT.items():
            transaction.create(name)
            transaction.add(name, *topics)
    return path


def test_a_table_is_rebuilt_without_losing_topics(filled: Path, tmp_path: Path) -> None:
    """A migration that rebuilds ``groups`` takes no topic along, though they refer to it."""
    with installed(with_next(tmp_path, REBUILD)), beryl_groups.start(filled) as groups:
        assert content(groups) == CONTENT
        assert groups.check() == []
        groups.delete("group:00")
    assert ("colour",) in run_sql(filled, "SELECT name FROM pragma_table_info('groups')")
    orphans = "SELECT * FROM group_topics WHERE group_id NOT IN (SELECT id FROM groups)"
    assert run_sql(filled, orphans) == []


def test_orphaned_rows_keep_no_migration_from_running(filled: Path, tmp_path: Path) -> None:
    """What the shell left behind, where foreign keys are off, is no reason to refuse the file."""
    run_sql(filled, "DELETE FROM groups WHERE name = 'group:00'")
    left = {name: topics for name, topics in CONTENT.items() if name != "group:00"}
    with installed(with_next(tmp_path, ADD_COLUMN)), beryl_groups.start(filled) as groups:
        assert content(groups) == left


FAILURES = {
    "an error in Python": (f"{WRITE_MUCH}\nraise RuntimeError('no more')", "no more"),
    "an error in SQL": (f"{REBUILD}\nop.execute('SELECT * FROM missing')", "no such table"),
    "rows that refer to nothing": ("op.execute('DELETE FROM groups')", "refer to nothing"),
}


def refused(path: Path, package: Path, reason: str) -> None:
    """See that the migration fails with a sentence, and that the folder is as it was."""
    before = everything(path.parent)
    with installed(package):
        with pytest.raises(StartFailed, match=reason) as caught:
            beryl_groups.start(path).close()
        assert everything(path.parent) == before
    assert repr(str(path)) in str(caught.value)
    assert NEXT in caught.value.reason
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize("failure", [name for name in FAILURES if "rows" not in name])
def test_a_failed_migration_leaves_an_empty_file_empty(
    path: Path, tmp_path: Path, failure: str
) -> None:
    """Where the migrations of an empty file fail, it is empty again, and can be started later."""
    path.touch()
    refused(path, with_next(tmp_path, FAILURES[failure][0]), FAILURES[failure][1])
    assert path.read_bytes() == b""
    with beryl_groups.start(path) as groups:
        assert list(groups) == []


def test_a_failed_migration_leaves_no_more_than_an_empty_file(path: Path, tmp_path: Path) -> None:
    """Where there was no file there may be an empty one: others may have opened it meanwhile."""
    with (
        installed(with_next(tmp_path, "raise RuntimeError('no more')")),
        pytest.raises(StartFailed, match="no more"),
    ):
        beryl_groups.start(path).close()
    assert {name: size for name, size in everything(tmp_path).items() if "groups.db" in name} in (
        {},
        {"groups.db": b""},
    )


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_migration_leaves_every_byte_as_it_was(
    filled: Path, tmp_path: Path, failure: str
) -> None:
    """Where a migration fails, the file is as before, and the version that made it reads it."""
    refused(filled, with_next(tmp_path, FAILURES[failure][0]), FAILURES[failure][1])
    with beryl_groups.start(filled) as groups:
        assert content(groups) == CONTENT


def test_an_interrupted_migration_leaves_every_byte_as_it_was(filled: Path, tmp_path: Path) -> None:
    """Ctrl-C during a migration reaches the caller, and the file is as before."""
    package = with_next(tmp_path, f"{WRITE_MUCH}\nos.kill(os.getpid(), signal.SIGINT)")
    before = everything(tmp_path)
    with installed(package), pytest.raises(KeyboardInterrupt):
        beryl_groups.start(filled).close()
    assert everything(tmp_path) == before


def start_and_die(path: Path, package: Path | None, statement: int) -> None:
    """Start, and have SIGKILL end this process when SQLite begins its n-th statement."""
    begun = itertools.count()

    def trace(_sql: str) -> None:
        if next(begun) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    class Mortal(connections.Connection):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)  # type: ignore[arg-type]
            # With no cache to speak of, what is not committed is written all the same.
            self.execute("PRAGMA cache_size = 1")
            self.set_trace_callback(trace)

    with pytest.MonkeyPatch.context() as patch, installed(package):
        patch.setattr(connections, "Connection", Mortal)
        beryl_groups.start(path).close()


def kill_everywhere(folder: Path, seed: Path | None, package: Path | None) -> int:
    """Start on a copy of the seed again and again, killed one statement later each time.

    Each copy stays in a folder of its own, as the kill left it. Return their number.
    """
    for statement in itertools.count():
        path = folder / str(statement) / "groups.db"
        path.parent.mkdir(parents=True)
        if seed is not None:
            shutil.copyfile(seed, path)
        child = os.fork()
        if child == 0:
            try:
                start_and_die(path, package, statement)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return statement
        assert os.WTERMSIG(status) == signal.SIGKILL
    raise AssertionError


@pytest.mark.slow
def test_a_killed_first_migration_is_made_up_for(tmp_path: Path, path: Path) -> None:
    """Wherever the making of a new file is killed, the next start makes it whole."""
    (number,) = gather(kill_everywhere, [(tmp_path / "killed", None, None)])
    beryl_groups.start(path).close()
    states = set()
    for statement in range(number):
        killed = tmp_path / "killed" / str(statement) / "groups.db"
        journal = killed.with_name("groups.db-journal")
        states.add((killed.exists() and killed.stat().st_size > 0, journal.exists()))
        with beryl_groups.start(killed) as groups:
            assert list(groups) == []
            groups.create("team")
            assert groups.check() == []
        assert schema_of(killed) == schema_of(path)
        assert run_sql(killed, "PRAGMA journal_mode") == [("wal",)]
    # Nothing yet, half a file with the way back in its journal, and the whole file.
    assert states >= {(False, False), (True, True), (True, False)}


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", [ADD_COLUMN, REBUILD], ids=["add", "rebuild"])
def test_a_killed_migration_is_made_up_for(filled: Path, tmp_path: Path, upgrade: str) -> None:
    """Wherever a migration of a file with data is killed, the next start carries it out whole."""
    package = with_next(tmp_path, upgrade)
    (number,) = gather(kill_everywhere, [(tmp_path / "killed", filled, package)])
    logs = 0
    with installed(package):
        beryl_groups.start(filled).close()
        for statement in range(number):
            killed = tmp_path / "killed" / str(statement) / "groups.db"
            log = killed.with_name("groups.db-wal")
            logs += log.exists() and log.stat().st_size > 0
            with beryl_groups.start(killed) as groups:
                assert content(groups) == CONTENT
                assert groups.check() == []
            assert schema_of(killed) == schema_of(filled)
    assert logs > 1


def test_a_file_of_a_killed_migration_is_whole_without_it(filled: Path, tmp_path: Path) -> None:
    """The version that made a file goes on with it after a newer one was killed in between."""
    schema_before = schema_of(filled)
    package = with_next(tmp_path, f"{WRITE_MUCH}\nos.kill(os.getpid(), signal.SIGKILL)")
    (number,) = gather(kill_at_end, [(filled, package)])
    assert number == signal.SIGKILL
    with beryl_groups.start(filled) as groups:
        assert content(groups) == CONTENT
        assert groups.check() == []
    assert schema_of(filled) == schema_before


def kill_at_end(path: Path, package: Path) -> int:
    """Start with a migration that kills its process, and return the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            with installed(package):
                beryl_groups.start(path).close()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status)
