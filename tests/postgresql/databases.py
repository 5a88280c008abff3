"""A database for each test: made once in a worker, and emptied for the next."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.postgresql import shared
from tests.postgresql.server import Unavailable, sql

if TYPE_CHECKING:
    import psycopg

_EMPTY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    DO $$ BEGIN
        IF to_regclass('beryl_groups.groups') IS NULL THEN
            NULL;
        ELSIF EXISTS (SELECT FROM beryl_groups.group_topics OFFSET 1000) THEN
            TRUNCATE beryl_groups.groups, beryl_groups.group_topics;
        ELSE
            DELETE FROM beryl_groups.groups;
        END IF;
    END $$
"""

_free: list[str] = []
_links: dict[str, psycopg.Connection[Any]] = {}
"""A connection to each database, by which it is emptied: to make one costs as much as a test."""
_numbers = itertools.count(1)


def server() -> str:
    """Return the URL of the server's own database, or have the test skipped with the reason."""
    reason = shared.is_missing()
    if reason is None:
        try:
            return shared.url()
        except Unavailable as error:
            reason = str(error)
    pytest.skip(reason)


def take() -> str:
    """Return the URL of a database without groups, whose tables may be there already."""
    return _free.pop() if _free else make()


def give_back(url: str) -> None:
    """Let another test have the database."""
    import psycopg  # it may be missing

    if url not in _links:
        _links[url] = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    _links[url].execute(_EMPTY)
    _free.append(url)


def make(*options: str) -> str:
    """Return the URL of a database that is quite empty."""
    there = server()
    name = f"test_{os.getpid()}_{next(_numbers)}"
    sql(there, " ".join([f"CREATE DATABASE {name}", *options]))
    return f"{there.rpartition('/')[0]}/{name}"


def drop(url: str) -> None:
    """Remove a database, whoever is still connected to it."""
    there, _, name = url.rpartition("/")
    sql(f"{there}/postgres", f"DROP DATABASE {name} WITH (FORCE)")


def leave() -> None:
    """Close what a worker has open, before it ends."""
    for link in _links.values():
        link.close()
    _links.clear()
