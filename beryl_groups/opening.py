"""From what a user gave to ``start`` to a store that is open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

from beryl_groups import sqlite
from beryl_groups.errors import StartFailed
from beryl_groups.names import shown
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.location import locate
from beryl_groups.sqlite.store import Store

if TYPE_CHECKING:
    import os

    from sqlalchemy import URL

    from beryl_groups.sqlite.connections import Synchronous

CLOSED = "The handle has been closed: open it again with start()."
"""Why a call that comes after ``close()`` is refused."""


def open_store(
    database: str | os.PathLike[str] | URL, busy_timeout: float, synchronous: Synchronous
) -> Store:
    """Open what a user gave to ``start``, or raise what that raises."""
    level = str.__str__(synchronous) if issubclass(type(synchronous), str) else None
    if level not in {"full", "normal"}:
        raise ValueError(f'synchronous is "full" or "normal", not {shown(synchronous)}.')
    seconds = _seconds(busy_timeout)
    if sqlite.driver.sqlite_version_info < connections.OLDEST_SQLITE:
        needed = ".".join(map(str, connections.OLDEST_SQLITE))
        reason = f"SQLite {needed} or newer is needed, this is {sqlite.driver.sqlite_version}"
        raise StartFailed(str(database), reason)
    store = Store(locate(database), seconds, cast("Synchronous", level))
    store.open()
    return store


def _seconds(busy_timeout: float) -> float:
    """Return a number of seconds that a lock can wait, whatever kind of number it was."""
    try:
        if busy_timeout >= 0:  # which NaN is not either
            return float(min(busy_timeout, threading.TIMEOUT_MAX))
    except TypeError as error:
        reason = f"busy_timeout is a number of seconds, not {shown(busy_timeout)}."
        raise TypeError(reason) from error
    raise ValueError(f"busy_timeout is a number of seconds, 0 or more, not {busy_timeout!r}.")
