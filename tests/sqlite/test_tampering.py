"""A database that somebody hands us: nothing in it runs, and what was changed is told of."""

from __future__ import annotations

import struct
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed, StorageFailed, revisions, sqlite
from beryl_groups.sqlite import tampering
from beryl_groups.tables import metadata
from tests.processes import open_files
from tests.sqlite.opening import another_process, everything, run_sql, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from beryl_groups import Groups

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


# How the rows of the file begin in which these names stand, with the type of the name as a text.
NAME, TOPIC = "marked-name", "marked-topic"
RECORDS = {
    "table": (b"\x04\x00\x23\x3d" + NAME.encode(), 2),
    "topics": (b"\x03\x09\x25" + TOPIC.encode(), 2),
}


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


def test_a_schema_that_is_no_utf8_is_refused(ours: Path) -> None:
    """What the driver cannot put in words is a sentence all the same."""
    content = ours.read_bytes()
    ours.write_bytes(content.replace(b"CREATE TABLE log", b"CREATE \xffABLE log"))
    assert "no UTF-8" in refusal(ours)


def test_a_schema_that_is_no_utf8_any_more_fails_the_calls(ours: Path) -> None:
    """A running handle says so, in a transaction too, and goes on once the schema is mended."""
    with beryl_groups.start(ours) as groups:
        assert groups.topics("team") == {"a", "b"}
        with broken_schema(ours):
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
