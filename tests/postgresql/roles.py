"""Roles of a test's own, which are gone after it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.postgresql.server import BY_PASSWORD, sql

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "hunter2"


@contextmanager
def role(url: str, *, name: str = "", options: str = "") -> Iterator[str]:
    """Give the URL of the same database for a role that has no rights but to connect.

    With a name of one's own; it has to show its password.
    """
    there, _, database = url.rpartition("/")
    name = name or f"role_of_{database}"
    sql(
        url,
        f"DO $$ BEGIN CREATE ROLE {BY_PASSWORD}; EXCEPTION WHEN duplicate_object THEN END $$",
        f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' IN ROLE {BY_PASSWORD} {options}",
    )
    try:
        yield f"{there.replace('postgres@', f'{name}:{PASSWORD}@')}/{database}"
    finally:
        sql(
            url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'",
            f"REASSIGN OWNED BY {name} TO postgres",
            f"DROP OWNED BY {name}",
            f"DROP ROLE {name}",
        )
