"""Which engine serves what a user gave to ``start``, and with what."""

from __future__ import annotations

import operator
import threading
from typing import TYPE_CHECKING, Any, Literal, cast

from beryl_groups.names import shown
from beryl_groups.postgresql.address import for_psql, is_address, parse
from beryl_groups.sqlite import exchange, opening, restoring
from beryl_groups.sqlite import visit as files

if TYPE_CHECKING:
    import os

    from sqlalchemy import URL

    from beryl_groups.engine import Engine, Visit

Synchronous = Literal["full", "normal"]

_CONNECTIONS = 33
"""Opened only when so many are in use at once, for the server has a process for each: with fewer,
32 threads that write make fewer calls than by a connection each."""


def open_engine(
    database: str | os.PathLike[str] | URL,
    busy_timeout: float,
    synchronous: Synchronous,
    pool_size: int | None = None,
) -> Engine:
    """Open what a user gave to ``start``, or raise what that raises."""
    level: Any = str.__str__(synchronous) if issubclass(type(synchronous), str) else None
    if level not in {"full", "normal"}:
        raise ValueError(f'synchronous is "full" or "normal", not {shown(synchronous)}.')
    seconds = _seconds(busy_timeout)
    size = _size(pool_size)
    if is_address(database):
        address = parse(cast("str | URL", database))
        # Here, for few programs have a server, and what it takes to speak to one loads for long.
        from beryl_groups.postgresql.opening import open_database  # noqa: PLC0415

        return open_database(address, seconds, level, size or _CONNECTIONS)
    if size is not None:
        raise ValueError("pool_size is for a database of PostgreSQL: a file needs no pool.")
    return opening.open_file(database, seconds, level)


def visit(database: str, busy_timeout: float) -> Visit:
    """Open a database that is there to look at it, or raise `StartFailed`."""
    if is_address(database):
        address = parse(database)
        from beryl_groups.postgresql import visit as servers  # noqa: PLC0415 - it takes the driver

        return servers.visit(address, busy_timeout)
    return files.visit(database, busy_timeout)


def is_missing(database: str) -> bool:
    """Tell whether there is nothing of this name, so that a command may make it."""
    return not is_address(database) and files.is_missing(database)


def file_of(database: str) -> str:
    """Return the path of the file that another process can open, or raise `GroupError`."""
    return files.file_of(database)


def server_of(database: str) -> str | None:
    """Return a URL that psql takes, without a password; None where it is a file."""
    return for_psql(database) if is_address(database) else None


def refuse_unsound(database: str, backup: str) -> None:
    """Raise `StorageFailed` where a file is no sound backup, before anything is made for it."""
    if is_address(database):
        exchange.refuse_unsound(backup)
    else:
        restoring.refuse_unsound(backup, files.location_of(database))


def _size(pool_size: int | None) -> int | None:
    """Return how many connections a user allows, None where that is left to us."""
    if pool_size is None:
        return None
    try:
        size = operator.index(pool_size)
    except TypeError as error:
        reason = f"pool_size is a whole number of connections, not {shown(pool_size)}."
        raise TypeError(reason) from error
    if size < 1:
        raise ValueError(f"pool_size is a number of connections, 1 or more, not {size}.")
    return size


def _seconds(busy_timeout: float) -> float:
    """Return a number of seconds that a lock can wait, whatever kind of number it was."""
    try:
        if busy_timeout >= 0:  # which NaN is not either
            return float(min(busy_timeout, threading.TIMEOUT_MAX))
    except TypeError as error:
        reason = f"busy_timeout is a number of seconds, not {shown(busy_timeout)}."
        raise TypeError(reason) from error
    raise ValueError(f"busy_timeout is a number of seconds, 0 or more, not {busy_timeout!r}.")
