"""What a host program does to SQLAlchemy, Alembic and psycopg is its own affair."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.postgresql import shared

if reason := shared.is_missing():
    pytest.skip(reason, allow_module_level=True)

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types.numeric import IntDumper
from psycopg.types.string import StrDumper

import beryl_groups
from beryl_groups import StorageFailed
from tests.contract.copies import contents
from tests.postgresql.server import sql
from tests.processes import PATIENCE
from tests.sqlite.test_host_tables import all_tables_changed
from tests.sqlite.test_hosts import listening

if TYPE_CHECKING:
    from pathlib import Path


def use(groups: beryl_groups.Groups) -> None:
    groups.add("team", "a", "b", create=True)
    groups.set_topics("team", ["b"])
    with groups.transaction() as transaction:
        transaction.create("crew")
    assert contents(groups) == {"team": {"b"}, "crew": set()}
    assert groups.check() == []


def test_no_listener_of_the_host_is_called(empty_database: str) -> None:
    """A program that listens to every engine hears nothing, of a migration either."""
    heard: list[str] = []
    with listening(heard), beryl_groups.start(empty_database) as groups:
        use(groups)
    assert heard == []


def test_tables_are_ours_whatever_the_host_has_others_be(empty_database: str) -> None:
    """Neither a column more for each table nor another implementation reaches a migration."""
    with all_tables_changed("postgresql"), beryl_groups.start(empty_database) as groups:
        use(groups)


class Shouting(Loader):
    def load(self, data: object) -> str:
        return bytes(data).decode().upper()  # type: ignore[call-overload, no-any-return]


class Same(Dumper):
    def dump(self, obj: object) -> bytes:
        return b"1"


def test_values_are_ours_whatever_the_host_has_registered(
    empty_database: str, tmp_path: Path
) -> None:
    """A program that has psycopg make something else of values does so for its own connections."""
    there = psycopg.adapters
    sound = {
        name: there.get_loader(there.types[name].oid, Format.TEXT) for name in ("text", "int8")
    }
    target = tmp_path / "copy.db"
    try:
        for name in sound:
            there.register_loader(name, Shouting)
        there.register_dumper(str, Same)
        there.register_dumper(int, Same)
        with beryl_groups.start(empty_database) as groups:
            use(groups)
            groups.backup(target)
            groups.restore(target)
            assert contents(groups) == {"team": {"b"}, "crew": set()}
    finally:
        for name, loader in sound.items():
            assert loader is not None
            there.register_loader(name, loader)
        there.register_dumper(str, StrDumper)
        there.register_dumper(int, IntDumper)


@pytest.mark.parametrize("checked", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_table_of_the_host_keeps_the_groups_it_refers_to(
    empty_database: str, checked: str
) -> None:
    """To delete one is refused at once and in words, by a transaction too."""
    with beryl_groups.start(empty_database, busy_timeout=PATIENCE) as groups:
        groups.add("team", "a", create=True)
        sql(
            empty_database,
            f"CREATE TABLE seats (team text REFERENCES beryl_groups.groups (name) {checked})",
            "INSERT INTO seats VALUES ('team')",
        )
        began = time.monotonic()
        with pytest.raises(StorageFailed, match="refers to the group by a foreign key"):
            groups.delete("team")
        with (
            pytest.raises(StorageFailed, match="refers to the group by a foreign key"),
            groups.transaction() as transaction,
        ):
            transaction.delete("team")
        assert time.monotonic() - began < PATIENCE
        assert contents(groups) == {"team": {"a"}}
