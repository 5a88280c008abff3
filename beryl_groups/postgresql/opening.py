"""The way from a URL that a user gave to ``start`` to a database that is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy.exc import DBAPIError

from beryl_groups import revisions
from beryl_groups.clock import monotonic
from beryl_groups.errors import StartFailed
from beryl_groups.postgresql import errors, schema
from beryl_groups.postgresql.database import Database

if TYPE_CHECKING:
    from beryl_groups.postgresql.address import Address
    from beryl_groups.postgresql.connections import Connection


def open_database(
    address: Address,
    busy_timeout: float,
    synchronous: Literal["full", "normal"],
    pool_size: int,
) -> Database:
    """Open a database, or raise `StartFailed`."""
    database = Database(address, busy_timeout, synchronous, pool_size)
    try:
        connection = database.pool.take(monotonic() + busy_timeout)
        try:
            # Beside it, and not in its place: where few are allowed, one that was closed may count
            # for a while.
            if not _is_current(connection, database.shown):
                schema.upgrade(address, busy_timeout)
        finally:
            database.pool.give_back(connection)
    except BaseException as error:
        database.close("The handle could not be opened.")
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        if isinstance(cause, errors.ERRORS):
            reason = errors.reason_to_refuse(cause, busy_timeout)
            raise StartFailed(database.shown, reason) from cause
        raise
    return database


def _is_current(connection: Connection, shown: str) -> bool:
    schema.refuse_unfit(connection.rows, shown)
    return schema.revision(connection.rows, shown) == revisions.HEAD
