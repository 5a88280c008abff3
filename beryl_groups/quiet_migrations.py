"""Alembic's context as nothing reaches it that the host program has put in Alembic's place.

A program may give Alembic another implementation of its database, and a version table with columns
of its own. It means these for its own migrations. Importing this imports Alembic, which takes time.
"""

from __future__ import annotations

from typing import Any

from alembic.ddl.impl import DefaultImpl
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, String, Table

from beryl_groups.quiet import QuietColumn, QuietTable


class QuietContext(MigrationContext):
    """A context that has its implementation from here, and its version table too."""

    @property
    def impl(self) -> DefaultImpl:
        return self._quiet_impl

    @impl.setter
    def impl(self, given: DefaultImpl) -> None:  # whatever stands in Alembic's list
        kind = _KINDS[self.dialect.name]
        self._quiet_impl = kind(
            self.dialect,
            self.connection,
            self.as_sql,
            None,
            given.output_buffer,
            self.opts,
        )


class _OwnVersionTable(DefaultImpl):
    def version_table_impl(
        self, *, version_table: str, version_table_schema: str | None, **_: Any
    ) -> Table:
        number = QuietColumn("version_num", String(32), primary_key=True)
        return QuietTable(version_table, MetaData(), number, schema=version_table_schema)


class _SQLite(_OwnVersionTable, SQLiteImpl):
    pass


class _PostgreSQL(_OwnVersionTable, PostgresqlImpl):
    pass


_KINDS: dict[str, type[DefaultImpl]] = {"sqlite": _SQLite, "postgresql": _PostgreSQL}
