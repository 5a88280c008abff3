"""What a host program does to all tables, and to Alembic's own, it does not do to ours."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from alembic.ddl.impl import _impls
from sqlalchemy import Column, Integer, Table, event

import beryl_groups
from beryl_groups import revisions
from tests.frozen.make import FOLDER
from tests.sqlite.opening import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMPORTED_LATER = """
import sys
from sqlalchemy import Column, Integer, Table, event

@event.listens_for(Table, "after_parent_attach")
def add_tenant(table, metadata):
    table.append_column(Column("tenant", Integer, default=1))

import beryl_groups

with beryl_groups.start(sys.argv[1]) as groups:
    groups.add("team", "a", "b", create=True)
    groups.rename("team", "crew")
    print(sorted(groups.topics("crew")), groups.groups_of("a"), groups.check())
"""


def add_tenant(table: Table, _metadata: object) -> None:
    """Give each table a column more, as programs do that serve several tenants."""
    table.append_column(Column("tenant", Integer, default=1))


@contextmanager
def all_tables_changed(engine: str) -> Iterator[None]:
    """Have every table get a column more, and Alembic keep revisions in a way of the host's."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("what the host has put in Alembic's place was used")

    changed = {"version_table_impl": refuse, "_exec": refuse}
    of_the_host: Any = type("OfTheHost", (_impls[engine],), changed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_impls, engine, of_the_host)
        event.listen(Table, "after_parent_attach", add_tenant)
        try:
            yield
        finally:
            event.remove(Table, "after_parent_attach", add_tenant)


@pytest.mark.parametrize("frozen", [None, *revisions.REVISIONS])
def test_tables_are_ours_whatever_the_host_has_others_be(path: Path, frozen: str | None) -> None:
    """Neither a column more for each table nor another implementation reaches a migration."""
    if frozen is not None:
        path.write_bytes((FOLDER / f"{frozen}.db").read_bytes())
    with all_tables_changed("sqlite"), beryl_groups.start(path) as groups:
        groups.add("new", "a", create=True)
        assert groups.topics("new") == {"a"}
    assert schema_of(path) == schema_of(FOLDER / f"{revisions.HEAD}.db")


def test_tables_are_ours_where_the_host_listened_before_the_import(path: Path) -> None:
    """The same holds for what listened before the package was imported."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_LATER, path], capture_output=True, text=True, check=False
    )
    assert done.stdout == "['a', 'b'] ['crew'] []\n", done.stderr
