"""Which revision a database has, whether it is as we made it, and bringing it up to date.

Reading the revision needs no Alembic. All that is ours is in a schema of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from beryl_groups import revisions
from beryl_groups.errors import StartFailed
from beryl_groups.lines import in_one_line
from beryl_groups.migrating import migrate, scripts_folder
from beryl_groups.postgresql import SCHEMA
from beryl_groups.postgresql.address import with_patience
from beryl_groups.postgresql.connections import use_own_adapters
from beryl_groups.postgresql.turns import WRITERS, milliseconds
from beryl_groups.quiet import quiet_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection as CoreConnection

    from beryl_groups.postgresql.address import Address

OLDEST = 140_000

_MIGRATIONS = WRITERS + 1
"""The number of the lock of those who migrate."""

# One row for each column of what is called as ours is; what else there is in the schema is none of
# our business.
_COLUMNS = f"""
SELECT c.relname::text, a.attname::text, replace(format_type(a.atttypid, a.atttypmod), '"', ''),
       a.attnotnull,
       COALESCE((SELECT l.collname::text FROM pg_collation l WHERE l.oid = a.attcollation), '')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.relname IN ('groups', 'group_topics', 'memberships', '{revisions.VERSION_TABLE}')
ORDER BY c.relname, a.attnum
"""  # noqa: S608 - constants
_REVISION = f"SELECT version_num FROM {SCHEMA}.{revisions.VERSION_TABLE} LIMIT 9"  # noqa: S608
_SERVER = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"

_OURS = {
    "groups": (
        ("id", "bigint", True, ""),
        ("name", "text", True, "C"),
        ("created_at", "text", True, "default"),
    ),
    "group_topics": (("group_id", "bigint", True, ""), ("topic", "text", True, "C")),
}

# As Alembic makes it, but without what a host program has happen when a table is made.
_VERSION_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{revisions.VERSION_TABLE} ("
    "version_num VARCHAR(32) NOT NULL, "
    f"CONSTRAINT {revisions.VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
)
_HAS_SCHEMA = f"SELECT 1 FROM pg_namespace WHERE nspname = '{SCHEMA}'"  # noqa: S608


Rows = Callable[[str], list[tuple[Any, ...]]]
"""Gives the rows of a statement that has no values."""


def refuse_unfit(rows: Rows, shown: str) -> None:
    """Raise `StartFailed` where the server cannot hold groups as they have to be."""
    ((version, encoding),) = rows(_SERVER)
    if version < OLDEST:
        needed, found = OLDEST // 10_000, version // 10_000
        raise StartFailed(shown, f"PostgreSQL {needed} or newer is needed, this is {found}")
    if encoding != "UTF8":
        reason = f"its text is encoded in {encoding}, and UTF8 is needed: CREATE DATABASE … "
        raise StartFailed(shown, f"{reason}ENCODING 'UTF8' TEMPLATE template0")


def revision(rows: Rows, shown: str) -> str | None:
    """Return the revision of what is there, None where there is nothing, or raise `StartFailed`."""
    tables: dict[str, list[tuple[Any, ...]]] = {}
    for table, *column in rows(_COLUMNS):
        tables.setdefault(table, []).append(tuple(column))
    if not tables:
        return None
    if revisions.VERSION_TABLE not in tables:
        reason = f"its schema {SCHEMA!r} holds tables that beryl_groups did not make"
        raise StartFailed(shown, reason)
    found = [row[0] for row in rows(_REVISION)]
    if not found and set(tables) == {revisions.VERSION_TABLE}:
        return None  # what a downgrade to the base leaves behind
    listed = ", ".join(str(each)[:32] for each in found) or "none"
    if len(found) != 1 or found[0] not in revisions.REVISIONS:
        reason = (
            f"its schema has the revision {listed}, and this version of beryl_groups knows "
            f"{revisions.HEAD} at the most: upgrade the package"
        )
        raise StartFailed(shown, reason)
    for table, columns in _OURS.items():
        if tuple(tables.get(table, ())) != columns:
            reason = f"the table {SCHEMA}.{table} is not as beryl_groups made it: it was altered"
            raise StartFailed(shown, reason)
    return str(found[0])


def upgrade(address: Address, busy_timeout: float) -> None:
    """Bring the database to the newest revision in one transaction, alone."""
    with connect_to_upgrade(address, busy_timeout) as core:
        found = revision(rows_of(core), address.shown)
        if found == revisions.HEAD:
            return
        try:
            with scripts_folder(_scratch) as folder:
                migrate(core, folder, make_version_table, SCHEMA)
        except Exception as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            if getattr(cause, "sqlstate", None):
                raise  # the server's own refusal says more than where it came
            reason = (
                f"the migration from {found or 'nothing'} to {revisions.HEAD} failed: "
                f"{in_one_line(cause)}"
            )
            raise StartFailed(address.shown, reason) from error


@contextmanager
def connect_to_upgrade(address: Address, busy_timeout: float) -> Iterator[CoreConnection]:
    """Give a Core connection in a transaction that nobody else migrates beside; it commits."""

    def connect() -> psycopg.Connection[Any]:
        driver = psycopg.connect(**with_patience(address, busy_timeout), prepare_threshold=None)
        use_own_adapters(driver)
        driver.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        return driver

    url = make_url("postgresql+psycopg://")
    engine = quiet_engine(url, PGDialect_psycopg, psycopg, NullPool, connect)
    with engine.connect() as core, core.begin():
        # Alembic takes its time to load.
        core.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        core.dialect.initialize(core)
        core.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds(busy_timeout)}")
        core.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATIONS})")
        yield core


def rows_of(core: CoreConnection) -> Rows:
    return lambda text: [tuple(row) for row in core.exec_driver_sql(text)]


def make_version_table(
    core: CoreConnection, _context: MigrationContext, _scripts: ScriptDirectory
) -> None:
    """Make the schema, where nobody has, and in it the table that holds the revision."""
    if not rows_of(core)(_HAS_SCHEMA):  # to say IF NOT EXISTS takes the right to make one
        core.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
    core.exec_driver_sql(_VERSION_TABLE)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="beryl_groups-") as name:
        yield Path(name)
