"""What the tests of PostgreSQL stand on: its server, its databases, and what cuts connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postgresql import databases
from tests.postgresql.server import sql

if TYPE_CHECKING:
    from tests.postgresql.proxy import Moment, Proxy

psycopg = pytest.importorskip("psycopg", reason="needs psycopg")


def test_a_database_is_used_again_and_empty(database: str) -> None:
    """What one test left is gone for the next, its connections too."""
    sql(database, "CREATE SCHEMA IF NOT EXISTS beryl_groups")
    address = database.replace("+psycopg", "")
    with psycopg.connect(address) as forgotten:
        databases.give_back(database)
        with pytest.raises(psycopg.OperationalError):
            forgotten.execute("SELECT 1")
    assert databases.take() == database


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_proxy_cuts_before_or_after_it_happened(
    database: str, proxy: Proxy, moment: Moment
) -> None:
    """The client gets no answer either way; the statement has reached the server or has not."""
    sql(database, "CREATE TABLE public.seen (number int)")
    try:
        with psycopg.connect(proxy.url(database).replace("+psycopg", ""), autocommit=True) as link:
            proxy.cut_at("INSERT INTO public.seen", moment)
            with pytest.raises(psycopg.OperationalError):
                link.execute("INSERT INTO public.seen VALUES (1)")
        assert sql(database, "SELECT count(*) FROM public.seen") == [(int(moment == "after"),)]
        assert proxy.cuts == 1
    finally:
        sql(database, "DROP TABLE public.seen")
