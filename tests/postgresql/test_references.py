"""What a restore on a server does to rows of a program's own that refer to groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StorageFailed
from tests.contract.copies import contents
from tests.postgresql.server import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = {
    "by id": "g bigint REFERENCES beryl_groups.groups (id)",
    "by name": 'g text COLLATE "C" REFERENCES beryl_groups.groups (name)',
}


@pytest.fixture(autouse=True)
def tables_go(database: str) -> Iterator[None]:
    """Leave no table that refers to those of the package, which other tests empty."""
    yield
    sql(database, 'DROP TABLE IF EXISTS "own rows", seats')


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "NO ACTION"])
def test_rows_that_refer_to_a_group_stay(
    database: str, backup: Path, kind: str, action: str
) -> None:
    """They refer to the group of that name; one that would refer to nothing refuses it all."""
    with beryl_groups.start(database) as groups:
        for name in ("kept", "gone"):
            groups.add(name, "old", create=True)
        value = "id" if kind == "by id" else "name"
        insert = f'INSERT INTO "own rows" SELECT {value} FROM beryl_groups.groups WHERE name = '
        sql(
            database,
            f'CREATE TABLE "own rows" ({KEYS[kind]} ON DELETE {action})',
            'INSERT INTO "own rows" VALUES (NULL)',
            f"{insert} 'kept'",
        )
        before = sql(database, 'SELECT * FROM "own rows"')
        groups.restore(backup)
        assert contents(groups) == {"kept": {"a", "b"}, "empty": frozenset()}
        assert sql(database, 'SELECT * FROM "own rows"') == before
        assert groups.check() == []

        groups.create("gone")
        sql(database, f"{insert} 'gone'")
        with pytest.raises(StorageFailed) as refused:
            groups.restore(backup)
        assert str(refused.value) == (
            f'The backup {str(backup)!r} was not restored: the table "own rows" refers by a '
            "foreign key to the group 'gone', which it does not hold."
        )
        assert set(groups) == {"kept", "empty", "gone"}
        assert len(sql(database, 'SELECT * FROM "own rows"')) == 3


def test_a_row_that_refers_to_a_topic_refuses_the_restore(database: str, backup: Path) -> None:
    """What it says of one topic of one group cannot be kept for another."""
    with beryl_groups.start(database) as groups:
        groups.add("kept", "a", create=True)
        sql(
            database,
            'CREATE TABLE seats (g bigint, t text COLLATE "C", FOREIGN KEY (g, t) '
            "REFERENCES beryl_groups.group_topics (group_id, topic) ON DELETE CASCADE)",
            "INSERT INTO seats VALUES (1, NULL)",
        )
        groups.restore(backup)
        sql(database, "INSERT INTO seats SELECT group_id, topic FROM beryl_groups.group_topics")
        with pytest.raises(StorageFailed, match="the table seats refers by a foreign key"):
            groups.restore(backup)
        assert len(sql(database, "SELECT * FROM seats")) == 3
