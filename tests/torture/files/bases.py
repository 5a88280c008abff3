"""Real databases with content, as bytes: what the mutations start from."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups import sqlite
from tests.torture.files.log import sealed

if TYPE_CHECKING:
    from pathlib import Path

DATABASE, WAL, SHM, JOURNAL = "", "-wal", "-shm", "-journal"

LETTERS = "ab/ é\u0301テ\U0001f600\ue000\uffff'\"%\n\x7f"
ODD_NAMES = ("x" * 1024, "é" * 512, " ", "NULL", "'; DROP TABLE groups; --", "\U0010ffff")


@dataclass(frozen=True)
class Base:
    """A database, by the endings of the names of its files."""

    name: str
    files: dict[str, bytes]

    @property
    def page_size(self) -> int:
        size = int.from_bytes(self.files[DATABASE][16:18], "big")
        return 65536 if size == 1 else size


def make_bases(folder: Path) -> list[Base]:
    """Make each kind of database that a user may have, the same for every run."""
    made = [
        _settled(folder / "plain.db", 4096),
        _settled(folder / "small.db", 512),
        _settled(folder / "large.db", 65536),
        _settled(folder / "vacuuming.db", 1024, "PRAGMA auto_vacuum = FULL"),
        _with_gaps(folder / "gaps.db"),
    ]
    return [
        *made,
        _with_log(folder / "log.db", 4096),
        _with_log(folder / "smalllog.db", 1024),
        _with_journal(folder / "journal.db"),
    ]


def fill(path: Path, groups_wanted: int) -> None:
    """Put groups into a file, from those without topics to those with many."""
    chance = random.Random(7)
    topics = [f"room:{number}" for number in range(150)] + list(ODD_NAMES)
    topics += ["".join(chance.choices(LETTERS, k=chance.randint(1, 40))) for _ in range(50)]
    with beryl_groups.start(path) as groups, groups.transaction() as transaction:
        for name in (*ODD_NAMES, *(f"group:{number}" for number in range(groups_wanted))):
            transaction.create(name)
            transaction.add(name, *chance.sample(topics, chance.choice([0, 1, 3, 10, 40])))


def run(path: Path, *statements: str) -> None:
    with closing(sqlite.driver.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def _settled(path: Path, page_size: int, *settings: str) -> Base:
    """Give a file that nobody has open."""
    fill(path, 40)
    run(
        path,
        "UPDATE groups SET created_at = '2025-01-01T00:00:00.000Z'",
        "PRAGMA journal_mode = DELETE",
        f"PRAGMA page_size = {page_size}",
        *settings,
        "VACUUM",
        "PRAGMA journal_mode = WAL",
    )
    return Base(path.stem, {DATABASE: path.read_bytes()})


def _with_gaps(path: Path) -> Base:
    """Give a file with pages that are free."""
    _settled(path, 1024)
    with beryl_groups.start(path) as groups:
        for name in groups.list_groups("group:1"):
            groups.delete(name)
    return Base(path.stem, {DATABASE: path.read_bytes()})


def _with_log(path: Path, page_size: int) -> Base:
    """Give a file beside which lies what has not been moved into it yet."""
    _settled(path, page_size)
    with beryl_groups.start(path) as groups:
        for number in range(8):
            groups.create(f"logged:{number}")
            groups.add(f"logged:{number}", "room:1", f"logged-room:{number}", "y" * 900)
        groups.delete("group:3")
        database = path.read_bytes()
        wal = path.with_name(path.name + WAL).read_bytes()
    return Base(path.stem, {DATABASE: database, WAL: sealed(wal, salt=b"saltsalt")})


def _with_journal(path: Path) -> Base:
    """Give a file that was left in the middle of a write, with the journal to undo it."""
    _settled(path, 1024)
    run(path, "PRAGMA journal_mode = DELETE")
    with closing(sqlite.driver.connect(path, isolation_level=None)) as connection:
        for statement in (
            "PRAGMA cache_size = 2",
            "BEGIN",
            "UPDATE groups SET name = 'half written ' || id",
            "DELETE FROM group_topics WHERE group_id % 3 = 0",
        ):
            connection.execute(statement)
        files = {
            DATABASE: path.read_bytes(),
            JOURNAL: path.with_name(path.name + JOURNAL).read_bytes(),
        }
    return Base(path.stem, files)
