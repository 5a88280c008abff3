"""What somebody can do to a database with SQL before handing it over."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beryl_groups import sqlite
from tests.torture.files.bases import DATABASE, WAL, Base
from tests.torture.files.mutations import Files, flip_bits_of_a_page

if TYPE_CHECKING:
    from random import Random

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
HUGE = 9223372036854775807
DEEP = "(" * 90 + "topic" + ")" * 90
OURS = ("groups", "group_topics", "beryl_groups_version")

TAMPERED_WITH = "CREATE TABLE IF NOT EXISTS tampered_with (a)"
WITNESS = "INSERT INTO tampered_with VALUES (1)"
"""What a trigger does that must not run: the table has to be empty in the end."""

RULE_BREAKERS = (
    "NULL", "x'6162'", "7", "1.5", "''", "'a' || char(0) || 'b'", "CAST(x'ff41' AS TEXT)",
    "CAST(x'eda080' AS TEXT)", "replace(hex(zeroblob(600)), '00', 'x')", "zeroblob(70000)",
    "char(0xfffe)", "'e' || char(0x301)", "CAST(x'c080' AS TEXT)", str(HUGE), "-1",
)  # fmt: skip

REWORDINGS = (
    ("groups", " STRICT", ""),
    ("group_topics", " WITHOUT ROWID,\n STRICT", ""),
    ("group_topics", " WITHOUT ROWID,", ""),
    ("groups", "name TEXT", "name BLOB"),
    ("groups", "name TEXT NOT NULL", "name TEXT"),
    ("groups", "name TEXT NOT NULL", "name TEXT NOT NULL COLLATE NOCASE"),
    ("groups", "UNIQUE (name)", "UNIQUE (name) ON CONFLICT REPLACE"),
    ("groups", "AUTOINCREMENT", ""),
    ("groups", "UNIQUE (name)", "UNIQUE (name), CHECK (name > randomblob(1))"),
    ("groups", "created_at TEXT DEFAULT", "x TEXT AS (name || name), created_at TEXT DEFAULT"),
    ("groups", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", "load_extension('evil')"),
    ("groups", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", "NULL"),
    ("group_topics", "topic TEXT", "topic INTEGER"),
    ("group_topics", "topic TEXT NOT NULL", "topic TEXT NOT NULL CHECK (topic <> 'new:1')"),
    ("group_topics", "ON DELETE CASCADE", "ON DELETE SET NULL"),
    ("group_topics", "ON DELETE CASCADE", ""),
    ("group_topics", "REFERENCES groups (id)", "REFERENCES elsewhere (id)"),
    ("group_topics", "PRIMARY KEY (group_id, topic)", "PRIMARY KEY (topic, group_id)"),
    ("group_topics_by_topic", "(topic, group_id)", "(topic COLLATE NOCASE)"),
    ("group_topics_by_topic", "(topic, group_id)", "(topic) WHERE topic > 'm'"),
    ("group_topics_by_topic", "CREATE INDEX", "CREATE UNIQUE INDEX"),
    ("memberships", "SELECT", f"SELECT 1 FROM ({ENDLESS}) UNION SELECT"),
    ("beryl_groups_version", "VARCHAR(32)", "INTEGER"),
)


def triggers(chance: Random) -> list[str]:
    table = chance.choice([*OURS, "notes", "GROUPS"])
    when = chance.choice(["BEFORE", "AFTER"])
    what = chance.choice(["INSERT", "UPDATE", "DELETE"])
    then = chance.choice(
        [
            WITNESS,
            f"{WITNESS}; DELETE FROM group_topics",
            "SELECT RAISE(ABORT, 'no')",
            "SELECT RAISE(IGNORE)",
            "SELECT RAISE(ROLLBACK, 'no')",
            f"{WITNESS}; SELECT count(*) FROM ({ENDLESS})",
            "UPDATE groups SET name = name || 'x'",
        ]
    )
    return [*own_table(chance), f"CREATE TRIGGER spy {when} {what} ON {table} BEGIN {then}; END"]


def own_table(chance: Random) -> list[str]:
    action = chance.choice(["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"])
    return [
        f"CREATE TABLE notes (id INTEGER DEFAULT 5 REFERENCES groups ON DELETE {action}, text)",
        "INSERT INTO notes SELECT id, 'note' FROM groups WHERE id % 3 = 0",
    ]


def own_things(chance: Random) -> list[str]:
    return chance.sample(
        [
            "CREATE INDEX own1 ON groups (created_at)",
            "CREATE INDEX own2 ON group_topics (length(topic), topic)",
            f"CREATE INDEX own3 ON group_topics ({DEEP})",
            "CREATE INDEX own4 ON groups (name) WHERE name > 'm'",
            "CREATE INDEX own5 ON group_topics (topic COLLATE NOCASE, group_id)",
            "CREATE INDEX own6 ON groups (abs(-9223372036854775804 - length(name)))",
            "CREATE INDEX own7 ON groups (printf('%.*c', 100000, name))",
            "CREATE UNIQUE INDEX own8 ON group_topics (group_id, topic)",
            "CREATE VIEW own9 AS SELECT * FROM memberships",
            f"CREATE VIEW own10 AS {ENDLESS}",
            "CREATE VIRTUAL TABLE own11 USING fts5(text)",
            "CREATE VIRTUAL TABLE own12 USING rtree(id, a, b)",
            "CREATE TABLE own13 (a INTEGER PRIMARY KEY, b AS (a * 2), c DEFAULT (randomblob(9)))",
            "DROP INDEX group_topics_by_topic",
            "DROP VIEW memberships",
            "ANALYZE",
        ],
        chance.randint(1, 4),
    )


def in_its_place(chance: Random) -> list[str]:
    name = chance.choice([*OURS, "memberships", "sqlite_sequence"])
    columns = {"groups": "id, name, created_at", "group_topics": "group_id, topic"}.get(
        name, "version_num"
    )
    begin = [f"ALTER TABLE {name} RENAME TO hidden"] if name in OURS else [f"DROP VIEW {name}"]
    return [
        *begin,
        chance.choice(
            [
                f"CREATE VIEW {name} AS SELECT * FROM hidden",
                f"CREATE VIEW {name} ({columns}) AS SELECT x, x, x FROM ({ENDLESS})",
                f"CREATE VIRTUAL TABLE {name} USING fts5({columns})",
                f"CREATE TABLE {name} ({columns})",
                f"CREATE TABLE {name} AS SELECT * FROM hidden",
                f"CREATE VIEW {name} AS SELECT load_extension('evil') AS version_num",
            ]
        ),
        f"CREATE TRIGGER into_it INSTEAD OF INSERT ON {name} BEGIN {WITNESS}; END",
    ]


def broken_rules(chance: Random) -> list[str]:
    """Put into the tables what they do not take; then have them look as before, or not."""
    value, other = chance.choice(RULE_BREAKERS), chance.choice(RULE_BREAKERS)
    rows = [
        f"UPDATE groups SET name = {value} WHERE id = 9",
        f"INSERT INTO group_topics VALUES (9, {other})",
        f"UPDATE group_topics SET topic = {other} WHERE group_id = 12",
        f"INSERT OR REPLACE INTO groups (id, name) VALUES ({chance.choice([HUGE, -5, 0])}, 'odd')",
        "INSERT INTO group_topics VALUES (-77, 'orphan'), (99999, 'room:1')",
        f"UPDATE group_topics SET group_id = {value} WHERE group_id = 11",
        "UPDATE sqlite_sequence SET seq = " + chance.choice(["0", "-9", "'x'", str(HUGE), "NULL"]),
        "DELETE FROM sqlite_sequence",
    ]
    return chance.sample(rows, chance.randint(1, 3))


def other_revisions(chance: Random) -> list[str]:
    value = chance.choice([*RULE_BREAKERS, "'0003'", "'0001' || char(0) || 'x'", "' 0001'", "1"])
    return chance.choice(
        [
            [f"UPDATE beryl_groups_version SET version_num = {value}"],
            [f"INSERT INTO beryl_groups_version VALUES ({value})"],
            ["DELETE FROM beryl_groups_version"],
            ["DROP TABLE beryl_groups_version"],
            [f"PRAGMA application_id = {chance.choice([0, 1, -1])}"],
            [f"PRAGMA user_version = {chance.choice([1, -1])}"],
            ["UPDATE beryl_groups_version SET version_num = hex(zeroblob(1000000))"],
        ]
    )


def rows_of_the_schema(chance: Random) -> list[str]:
    """Write into the schema itself what no statement would."""
    name = chance.choice([*OURS, "group_topics_by_topic", "memberships", "sqlite_sequence"])
    column = chance.choice(["type", "name", "tbl_name", "rootpage", "rootpage", "sql"])
    value = chance.choice(
        [
            "NULL", "''", "x'00ff'", "CAST(x'ff41' AS TEXT)", str(chance.randint(-1, 60)), "1",
            str(HUGE), "'groups'", "'table'", "'CREATE TABLE groups (id)'", f"'{WITNESS}'",
            "(SELECT rootpage FROM sqlite_schema WHERE name = 'group_topics')",
            "CAST(x'ff' || sql AS TEXT)", "sql || ' --'", "upper(sql)", "'/**/' || sql",
        ]
    )  # fmt: skip
    hidden = f"CREATE TRIGGER hidden AFTER INSERT ON {chance.choice(OURS)} BEGIN {WITNESS}; END"
    return [
        chance.choice(
            [
                f"UPDATE sqlite_schema SET {column} = {value} WHERE name = '{name}'",
                f"DELETE FROM sqlite_schema WHERE name = '{name}'",
                f"INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = '{name}'",
                f"INSERT INTO sqlite_schema VALUES ('trigger', 'hidden', 'notes', 0, '{hidden}')",
                f"INSERT INTO sqlite_schema VALUES ('x', 'hidden', 'x', 0, '{hidden}')",
                "INSERT INTO sqlite_schema VALUES ('table', 'z', 'z', 4, 'CREATE TABLE groups(a)')",
            ]
        )
    ]


def hand_over(chance: Random, base: Base) -> tuple[str, Files]:
    """Return a database as somebody hands it over who has had the time to prepare it."""
    kinds = (triggers, own_things, in_its_place, broken_rules, other_revisions, rows_of_the_schema)
    kind = chance.choice([*kinds, None, None])
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "groups.db"
        path.write_bytes(base.files[DATABASE])
        with closing(sqlite.driver.connect(path, isolation_level=None)) as connection:
            label = _prepare(connection, chance, kind)
            files = {DATABASE: path.read_bytes()}
            wal = path.with_name(path.name + WAL)
            if chance.random() < 0.3 and wal.exists():
                files[WAL] = wal.read_bytes()
                label += ", in a log"
        if WAL not in files:
            files[DATABASE] = path.read_bytes()
    finally:
        shutil.rmtree(folder)
    if chance.random() < 0.1:
        files[DATABASE] = flip_bits_of_a_page(chance, Base(base.name, files))
        label += ", and flip_bits_of_a_page"
    return label, files


def _prepare(connection: sqlite.driver.Connection, chance: Random, kind: Any) -> str:
    def attempt(*statements: str) -> None:
        for statement in statements:
            with suppress(sqlite.driver.Error):
                connection.execute(statement).fetchall()

    attempt("PRAGMA writable_schema = ON", TAMPERED_WITH)
    if kind is None:
        table, old, new = chance.choice(REWORDINGS)
        reword(connection, table, old, new)
        return f"{table} reworded: {old!r} is {new!r}"
    if kind is broken_rules:
        before = dict(connection.execute("SELECT name, sql FROM sqlite_schema"))
        reword(connection, "groups", " STRICT", "")
        reword(connection, "group_topics", ",\n STRICT", "")
        for table in ("groups", "group_topics"):
            reword(connection, table, " NOT NULL", "")
        statements = broken_rules(chance)
        attempt(*statements)
        if chance.random() < 0.8:
            for table in ("groups", "group_topics"):
                put_words(connection, table, before[table])
    else:
        statements = kind(chance)
        attempt(*statements)
    return f"{kind.__name__}: {'; '.join(statements)[:300]}"


def reword(connection: sqlite.driver.Connection, name: str, old: str, new: str) -> None:
    (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    put_words(connection, name, sql.replace(old, new))


def put_words(connection: sqlite.driver.Connection, name: str, sql: str) -> None:
    """Set what the schema says of a thing, and have it hold from now on."""
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, name))
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    with suppress(sqlite.driver.Error):
        connection.execute(f"PRAGMA schema_version = {version + 1}")
        connection.execute("SELECT 1 FROM groups").fetchall()
