"""A million memberships from SQLite to PostgreSQL, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups.sqlite import driver
from tests.commandline.running import run
from tests.processes import THOROUGH

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

GROUPS, TOPICS = (10_000, 100) if THOROUGH else (1_000, 50)


def all_rows(path: Path) -> list[tuple[str, str]]:
    connection = driver.connect(path)
    try:
        return connection.execute(
            "SELECT group_name, topic FROM memberships ORDER BY 1, 2"
        ).fetchall()
    finally:
        connection.close()


def test_a_million_memberships_go_there_and_back(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is there after two commands, and again after two more (fewer without CI=long)."""
    file, there, back, again = (tmp_path / f"{name}.db" for name in ("a", "b", "c", "d"))
    with (
        beryl_groups.start(file, synchronous="normal") as groups,
        groups.transaction() as transaction,
    ):
        for number in range(GROUPS):
            topics = [f"topic:{number * 7 + each * 7919}" for each in range(TOPICS)]
            transaction.add(f"group:{number:05}", *topics, create=True)
    monkeypatch.setenv("DATABASE_URL", database)
    run("backup", file, there)
    run("restore", "env:DATABASE_URL", there)
    run("backup", "env:DATABASE_URL", back)
    run("restore", again, back)
    rows = all_rows(file)
    assert len(rows) == GROUPS * TOPICS
    assert all_rows(again) == rows
