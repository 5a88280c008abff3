"""The way from what a user gave to ``start`` to a file that is open, read from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy.exc import DBAPIError

from beryl_groups import revisions, sqlite
from beryl_groups.errors import StartFailed
from beryl_groups.sqlite import connections, driver, errors, fork, schema
from beryl_groups.sqlite.locating import locate
from beryl_groups.sqlite.store import Store

if TYPE_CHECKING:
    import os

    from sqlalchemy import URL


def open_file(
    database: str | os.PathLike[str] | URL,
    busy_timeout: float,
    synchronous: Literal["full", "normal"],
) -> Store:
    """Open a database file, or raise `StartFailed`."""
    if driver.sqlite_version_info < connections.OLDEST_SQLITE:
        needed = ".".join(map(str, connections.OLDEST_SQLITE))
        reason = f"SQLite {needed} or newer is needed, this is {driver.sqlite_version}"
        raise StartFailed(str(database), reason)
    store = Store(locate(database), busy_timeout, synchronous)
    location = store.location
    try:
        with store.opening:
            fork.refuse_untouchable(location)
            location.create()
            schema.refuse_before_it_is_touched(location, busy_timeout)
            if not _is_current(store):
                schema.upgrade(location, busy_timeout)
            store.settle()
    except BaseException as error:
        store.close("The handle could not be opened.")
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite.Errors):
            raise errors.start_failed(cause, location, busy_timeout) from cause
        if isinstance(error, OSError):
            raise StartFailed(location.shown, str(error)) from error
        raise
    return store


def _is_current(store: Store) -> bool:
    """Tell whether nothing has to be written first; raise where it has, and may not be."""
    connection = store.connect()
    current = False
    try:
        found = schema.read_revision(connection, store.location)
        read_only = isinstance(connection, connections.ReadOnlyConnection)
        current = found == revisions.HEAD and (
            read_only or (schema.is_marked(connection) and connections.is_wal(connection))
        )
    finally:
        if current:
            store.give_back(connection)
        else:
            store.close_connection(connection)
    if read_only and not current:
        raise StartFailed(
            store.shown,
            f"its schema has to be brought from {found or 'nothing'} to {revisions.HEAD}, "
            "and it may only be read",
        )
    return current
