"""The way from what a user gave to ``start`` to an engine that is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from beryl_groups.errors import StartFailed
from beryl_groups.sqlite import connections, driver
from beryl_groups.sqlite.location import locate
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
    store.open()
    return store
