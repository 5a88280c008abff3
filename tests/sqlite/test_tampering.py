"""A database that somebody hands us: nothing in it runs, and what was changed is told of."""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed, revisions, sqlite
from beryl_groups.sqlite import tampering
from beryl_groups.tables import metadata
from tests.sqlite.opening import another_process, everything, run_sql, schema_of

if TYPE_CHECKING:
    from pathlib import Path

GROUPS_TABLE = tampering.TABLES[revisions.HEAD]["groups"]
TOPICS_TABLE = tampering.TABLES[revisions.HEAD]["group_topics"]
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.fixture
def ours(path: Path) -> Path:
    """A database with a group of two topics, and room beside it for what a trigger writes."""
    with beryl_groups.start(path) as groups:
        groups.create("team")
        groups.add("team", "a", "b")
    run_sql(path, "CREATE TABLE log (line TEXT)")
    return path


def reword(path: Path, name: str, old: str, new: str) -> None:
    """Change what the schema says of a table, as only somebody who means it can."""
    with closing(sqlite.driver.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,))
        assert old in sql[0]
        changed = (sql[0].replace(old, new), name)
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", changed)


def refusal(path: Path) -> str:
    """Return why the file is refused, which leaves it as it is."""
    before = everything(path.parent)
    with pytest.raises(StartFailed) as caught:
        beryl_groups.start(path).close()
    assert everything(path.parent) == before
    return caught.value.reason


@pytest.mark.parametrize(
    ("when", "table"),
    [
        ("AFTER INSERT", "groups"),
        ("BEFORE DELETE", "GROUPS"),
        ("AFTER UPDATE OF name", '"groups"'),
        ("BEFORE DELETE", "group_topics"),
        ("AFTER UPDATE", "beryl_groups_version"),
    ],
)
def test_a_trigger_on_our_tables_is_refused(ours: Path, when: str, table: str) -> None:
    """The sentence names the trigger."""
    run_sql(ours, f"CREATE TRIGGER spy {when} ON {table} BEGIN INSERT INTO log VALUES (1); END")
    assert "trigger 'spy'" in refusal(ours)


def test_a_trigger_that_hides_is_refused(ours: Path) -> None:
    """A schema that says of a trigger that it is something else of another table fools nobody."""
    with closing(sqlite.driver.connect(ours, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "INSERT INTO sqlite_schema VALUES ('x', 'hidden', 'log', 0, 'CREATE TRIGGER hidden "
            "AFTER INSERT ON/* log */groups BEGIN INSERT INTO log VALUES (1); END')"
        )
    refusal(ours)


def test_a_trigger_behind_a_foreign_key_is_refused(ours: Path) -> None:
    """A table of somebody's may go with a group, and its trigger does not come to run by that."""
    run_sql(
        ours,
        "CREATE TABLE notes (id INTEGER REFERENCES groups ON DELETE CASCADE)",
        "CREATE TRIGGER spy AFTER DELETE ON notes BEGIN INSERT INTO log VALUES ('gone'); END",
    )
    assert "trigger 'spy'" in refusal(ours)


def test_a_trigger_in_a_log_is_refused(ours: Path) -> None:
    """What another process has not yet moved into the file counts, and stays where it is."""
    spy = "CREATE TRIGGER spy AFTER INSERT ON groups BEGIN INSERT INTO log VALUES (1); END"
    with another_process(ours, spy):
        assert ours.with_name("groups.db-wal").stat().st_size > 0
        assert "trigger 'spy'" in refusal(ours)


@pytest.mark.skipif(
    not hasattr(sqlite.driver.Connection, "setconfig"), reason="the driver cannot turn them off"
)
def test_a_trigger_that_is_added_meanwhile_does_not_run(ours: Path) -> None:
    """Calls go on as if there was none."""
    with beryl_groups.start(ours) as groups:
        groups.add("team", "c")
        run_sql(
            ours,
            "CREATE TRIGGER spy AFTER INSERT ON group_topics "
            "BEGIN INSERT INTO log VALUES (new.topic); END",
        )
        groups.add("team", "d")
        assert groups.topics("team") == {"a", "b", "c", "d"}
    assert run_sql(ours, "SELECT * FROM log") == []


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("groups", " STRICT", ""),
        ("groups", "name TEXT NOT NULL", "name TEXT NOT NULL COLLATE NOCASE"),
        ("groups", "UNIQUE (name)", "UNIQUE (name) ON CONFLICT REPLACE"),
        ("groups", "UNIQUE (name)", "UNIQUE (name), CHECK (length(hex(randomblob(9))) > 0)"),
        ("groups", "created_at TEXT DEFAULT (", "created_at TEXT DEFAULT (name || "),
        ("group_topics", "topic TEXT NOT NULL", "topic BLOB NOT NULL"),
        ("group_topics", "ON DELETE CASCADE", "ON DELETE SET DEFAULT"),
        ("group_topics", "topic TEXT NOT NULL,", "topic TEXT NOT NULL, t TEXT AS (topic || 1),"),
    ],
)
def test_a_table_that_was_reworded_is_refused(ours: Path, table: str, old: str, new: str) -> None:
    """Another type, collation, CHECK, conflict clause or column makes a table another one."""
    reword(ours, table, old, new)
    reason = refusal(ours)
    assert f"{table!r} is not as beryl_groups made it" in reason or "malformed" in reason


def test_a_column_that_was_added_is_refused(ours: Path) -> None:
    """What a user keeps of a group belongs into a table of its own."""
    run_sql(ours, "ALTER TABLE groups ADD COLUMN colour TEXT")
    assert "'groups' is not as beryl_groups made it" in refusal(ours)


@pytest.mark.parametrize(
    "change",
    [
        f"CREATE VIEW groups AS {ENDLESS}",
        "CREATE VIRTUAL TABLE groups USING fts5(id, name, created_at)",
        "CREATE TABLE groups (id, name, created_at)",
        "CREATE VIEW unrelated AS SELECT 1",
    ],
)
def test_something_else_in_place_of_a_table_is_refused(ours: Path, change: str) -> None:
    """A view, a virtual table, another table and no table at all are none of ours."""
    run_sql(ours, "ALTER TABLE groups RENAME TO hidden", change)
    assert "'groups' is not as beryl_groups made it" in refusal(ours)


@pytest.mark.parametrize(
    "change",
    [
        f"CREATE VIEW beryl_groups_version AS SELECT x AS version_num FROM ({ENDLESS})",
        "CREATE VIRTUAL TABLE beryl_groups_version USING fts5(version_num)",
    ],
)
def test_a_revision_that_is_no_table_is_refused(ours: Path, change: str) -> None:
    """It is not even asked for what it says: a view might never end."""
    run_sql(ours, "DROP TABLE beryl_groups_version", change)
    assert "'beryl_groups_version' is not as beryl_groups made it" in refusal(ours)


def test_a_view_in_a_file_without_our_mark_is_refused(ours: Path) -> None:
    """A file with nothing but something called as our version table is no new file to fill."""
    ours.unlink()
    run_sql(ours, f"CREATE VIEW beryl_groups_version AS SELECT x AS version_num FROM ({ENDLESS})")
    refusal(ours)


def test_a_unique_index_on_our_tables_is_refused(ours: Path) -> None:
    """With it, a topic that another group has would be left out, and nobody told."""
    run_sql(ours, "CREATE UNIQUE INDEX once ON group_topics (topic)")
    assert "the unique index 'once'" in refusal(ours)


def test_what_a_user_keeps_beside_our_tables_is_welcome(ours: Path) -> None:
    """Own indices, views, tables, and triggers on these, change nothing for us."""
    run_sql(
        ours,
        "CREATE INDEX by_age ON groups (created_at)",
        "CREATE INDEX by_length ON group_topics (length(topic))",
        "CREATE VIEW sizes AS SELECT group_id, count(*) FROM group_topics GROUP BY group_id",
        "DROP VIEW memberships",
        "CREATE VIEW memberships AS SELECT 1",
        "CREATE TABLE notes (id INTEGER REFERENCES groups ON DELETE CASCADE, text UNIQUE)",
        "CREATE TRIGGER own AFTER INSERT ON notes BEGIN INSERT INTO log SELECT 'groups'; END",
        "INSERT INTO notes SELECT id, 'mine' FROM groups",
    )
    with beryl_groups.start(ours) as groups:
        groups.create("new")
        groups.add("new", "a")
        assert groups.groups_of("a") == ["new", "team"]
        assert groups.check() == []
        groups.delete("team")
        assert list(groups) == ["new"]
    assert run_sql(ours, "SELECT * FROM log") == [("groups",)]
    assert run_sql(ours, "SELECT * FROM notes") == []


def test_a_table_in_other_words_is_the_same_table(ours: Path) -> None:
    """Quotes and spaces do not count: another SQLAlchemy may set them otherwise."""
    run_sql(
        ours,
        "ALTER TABLE groups RENAME TO moved",
        "ALTER TABLE moved RENAME TO groups",
    )
    reword(ours, "group_topics", " (\n\tgroup_id", "(group_id")
    beryl_groups.start(ours).close()


def test_our_tables_are_known_as_the_migrations_make_them(path: Path) -> None:
    """A new file has them word for word, for each revision they are known."""
    beryl_groups.start(path).close()
    made = {name: sql for kind, name, _, sql in schema_of(path)[:-1] if kind == "table"}
    for name, sql in tampering.TABLES[revisions.HEAD].items():
        assert made[name] == sql
        assert tampering._as_compared(sql) == tampering._as_made_here(name)
    assert set(tampering.TABLES) == set(revisions.REVISIONS)
    assert set(tampering.TABLES[revisions.HEAD]) == set(metadata.tables)


def test_a_schema_that_is_no_utf8_is_refused(ours: Path) -> None:
    """What the driver cannot put in words is a sentence all the same."""
    content = ours.read_bytes()
    ours.write_bytes(content.replace(b"CREATE TABLE log", b"CREATE \xffABLE log"))
    assert "no UTF-8" in refusal(ours)


def test_a_journal_that_names_another_file_is_refused(ours: Path, tmp_path: Path) -> None:
    """SQLite would take that file for one of its own, and delete it."""
    run_sql(ours, "PRAGMA journal_mode = DELETE")
    victim = tmp_path / "precious.txt"
    victim.write_text("mine")
    with closing(sqlite.driver.connect(ours, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO groups (name) VALUES (?)", [(f"{n:>200}",) for n in range(500)]
        )
        folder = tmp_path / "handed over"
        folder.mkdir()
        copy = folder / "groups.db"
        copy.write_bytes(ours.read_bytes())
        journal = ours.with_name("groups.db-journal").read_bytes()
    name = str(victim).encode()
    # https://www.sqlite.org/fileformat.html#the_super_journal_file
    journal += struct.pack(">I", 2**30 // 4096 + 1) + name
    journal += struct.pack(">II", len(name), sum(name)) + bytes.fromhex("d9d505f920a163d7")
    copy.with_name("groups.db-journal").write_bytes(journal)
    assert "names another file" in refusal(copy)
    assert victim.read_text() == "mine"
    if sqlite.driver.sqlite_version_info < (3, 41):  # a newer one may look closer
        # What is refused is not harmless: so it ends for whoever opens it without a look.
        run_sql(copy, "SELECT count(*) FROM groups")
        assert not victim.exists()


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_place_of_a_sidecar_file_is_refused(
    ours: Path, tmp_path: Path, ending: str, dangling: bool
) -> None:
    """Neither what it leads to nor its mode is touched."""
    target = tmp_path / "target.txt"
    if not dangling:
        target.write_text("mine")
        target.chmod(0o400)
    ours.chmod(0o666)
    (ours.parent / f"{ours.name}{ending}").symlink_to(target)
    assert f"'groups.db{ending}' beside it is a link" in refusal(ours)
    if not dangling:
        assert oct(target.stat().st_mode & 0o777) == "0o400"
