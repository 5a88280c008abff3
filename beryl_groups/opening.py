"""From what a user gave to ``start`` to a store that is open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from beryl_groups import sqlite
from beryl_groups.errors import StartFailed
from beryl_groups.location import locate
from beryl_groups.store import Store

if TYPE_CHECKING:
    import os

    from sqlalchemy import URL

    from beryl_groups.sqlite import Synchronous


def open_store(
    database: str | os.PathLike[str] | URL, busy_timeout: float, synchronous: Synchronous
) -> Store:
    """Open what a user gave to ``start``, or raise what that raises."""
    if synchronous not in {"full", "normal"}:
        raise ValueError(f'synchronous is "full" or "normal", not {synchronous!r}.')
    if not busy_timeout >= 0:  # which NaN is not either
        raise ValueError(f"busy_timeout is a number of seconds, 0 or more, not {busy_timeout!r}.")
    if sqlite.driver.sqlite_version_info < sqlite.OLDEST_SQLITE:
        needed = ".".join(map(str, sqlite.OLDEST_SQLITE))
        reason = f"SQLite {needed} or newer is needed, this is {sqlite.driver.sqlite_version}"
        raise StartFailed(str(database), reason)
    store = Store(locate(database), min(busy_timeout, threading.TIMEOUT_MAX), synchronous)
    store.open()
    return store
