"""How the ``alembic`` command reaches a database: ``-x database=PATH``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context
from alembic.operations import Operations

from beryl_groups.errors import StartFailed
from beryl_groups.revisions import VERSION_TABLE
from beryl_groups.sqlite.locating import locate
from beryl_groups.sqlite.schema import connect_to_upgrade, name_version_table
from beryl_groups.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


def ours(_thing: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Leave out what SQLite and Alembic keep for themselves."""
    return not (kind == "table" and name in {"sqlite_sequence", VERSION_TABLE})


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        include_object=ours,
        render_as_batch=True,
        compare_server_default=True,
    )
    name_version_table(connection, context.get_context(), context.script)
    with context.begin_transaction():
        context.run_migrations(op=Operations(context.get_context()))


def run_from_the_command_line() -> None:
    path = context.get_x_argument(as_dictionary=True).get("database")
    if not path:
        raise SystemExit("Say which database: alembic -x database=PATH …")
    try:
        location = locate(path)
        location.create()
        with connect_to_upgrade(location, busy_timeout=5.0) as connection:
            run(connection)
    except StartFailed as refusal:
        raise SystemExit(str(refusal)) from refusal


if context.is_offline_mode():
    raise SystemExit("SQL scripts are not supported: a migration runs on the database itself.")
run_from_the_command_line()
