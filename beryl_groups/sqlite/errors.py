"""What an error of SQLite means, and how a user is told of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from beryl_groups.engine import busy
from beryl_groups.errors import StartFailed, StorageFailed
from beryl_groups.lines import in_one_line
from beryl_groups.sqlite import causes, driver, sidecars
from beryl_groups.sqlite.connections import lacks_sidecars, primary_code

if TYPE_CHECKING:
    from beryl_groups.sqlite.location import Location

_MEANINGS = {
    driver.SQLITE_FULL: "the disk is full",
    driver.SQLITE_READONLY: "it may only be read",
    driver.SQLITE_CANTOPEN: "it cannot be opened",
    driver.SQLITE_PERM: "it may not be accessed",
    driver.SQLITE_CORRUPT: "the file is damaged",
    driver.SQLITE_NOTADB: "it is no SQLite database, or no longer",
    driver.SQLITE_IOERR: "reading or writing the file failed",
    driver.SQLITE_NOMEM: "memory ran out",
    driver.SQLITE_PROTOCOL: "its file system does not lock files as SQLite needs it",
}

# By what the longer name of an error ends in (https://www.sqlite.org/rescode.html).
_DETAILS = {
    "_NOMEM": "memory ran out",
    "_READ": "reading the file failed",
    "_SHORT_READ": "the file is shorter than it should be",
    "_FSYNC": "the system did not confirm that what was written is on disk",
    "_DIR_FSYNC": "the system did not confirm that what was written is on disk",
    "_LOCK": "its file system does not lock files",
    "_RDLOCK": "its file system does not lock files",
    "_UNLOCK": "its file system does not lock files",
    "_CHECKRESERVEDLOCK": "its file system does not lock files",
    "_SHMOPEN": "its file system has no shared memory, as network drives have none",
    "_SHMMAP": "its file system has no shared memory, as network drives have none",
    "_SHMSIZE": "its file system has no room for shared memory",
    "_SHMLOCK": "its file system does not lock files",
    "_GETTEMPPATH": "there is no folder for temporary files",
    "_DELETE": "a file beside it could not be removed",
    "_CORRUPTFS": "its file system is damaged",
}

# pysqlite3 gives no code to what keeps a copy from being made.
_MAY_BE_A_WRITE = {driver.SQLITE_FULL, driver.SQLITE_IOERR, driver.SQLITE_CANTOPEN, None}

# Where a file beside one that may be written cannot be opened, SQLite goes on as if to read.
_MAY_BE_NO_FILE = {driver.SQLITE_CANTOPEN, driver.SQLITE_READONLY, None}

_CONTENDED = {driver.SQLITE_BUSY, driver.SQLITE_LOCKED}


def is_damage(error: Exception) -> bool:
    if isinstance(error, UnicodeDecodeError):
        return True
    # A plain SQLITE_ERROR is a statement that does not fit the tables, as they ought to be.
    return primary_code(error) in {driver.SQLITE_CORRUPT, driver.SQLITE_NOTADB, driver.SQLITE_ERROR}


def reason(error: BaseException, location: Location | None = None, *, growing_to: int = 0) -> str:
    """Say what an error of SQLite means for a user, and what SQLite called it.

    With the location of a database the system is asked for what SQLite keeps to itself; a file
    that was being made would have had so many bytes.
    """
    if isinstance(error, UnicodeDecodeError):
        return "the file is damaged (its schema holds text that is no UTF-8)"
    if isinstance(error, MemoryError):
        return "memory ran out"
    code = primary_code(error)
    cause = None
    if code in _MAY_BE_NO_FILE:
        cause = causes.of_no_file()
    if location is not None and code in _MAY_BE_A_WRITE:
        cause = cause or causes.of_no_write(location, growing_to)
    detail = _DETAILS.get(getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_IOERR"))
    meaning = cause or detail or _MEANINGS.get(code or 0)
    said = in_one_line(error)  # it may hold names that were put into a damaged file
    return f"{meaning} ({said})" if meaning else said


def reason_to_refuse(error: Exception, location: Location, busy_timeout: float) -> str:
    """Say why a file cannot be opened."""
    code = primary_code(error)
    if code in _CONTENDED:
        return f"another process has held it locked for longer than {busy_timeout:g} s"
    if code in {driver.SQLITE_CANTOPEN, driver.SQLITE_PERM} and not location.may_be_read():
        return f"permission to read it is denied ({error})"
    if lacks_sidecars(error, location) and location.has_wal_of_old():
        return (
            f"{location.wal.name!r} beside it may hold commits, and who reads them has to write "
            "the file and in this folder, which is not allowed: copy both to a folder where it is, "
            f"and open the copy ({error})"
        )
    return _refusal(error, location) or reason(error, location)


def start_failed(error: Exception, location: Location, busy_timeout: float) -> StartFailed:
    """Turn an error of the driver on opening a database into ours; the caller chains it."""
    said = reason_to_refuse(error, location, busy_timeout) + _remedy(error, location)
    return StartFailed(location.shown, said)


def translate(error: Exception, location: Location, busy_timeout: float) -> StorageFailed:
    """Turn an error of the driver into one of ours; the caller chains it."""
    if primary_code(error) in _CONTENDED:
        return busy(location.shown, busy_timeout)
    said = _refusal(error, location) or reason(error, location) + _remedy(error, location)
    return StorageFailed(f"The database {location.shown!r} failed: {said}.")


def _remedy(error: Exception, location: Location) -> str:
    """Say how to go on with a damaged file, as one is that was copied over beside its old WAL."""
    damaged = isinstance(error, UnicodeDecodeError) or primary_code(error) == driver.SQLITE_CORRUPT
    if location.in_memory or not damaged:
        return ""
    file = Path(os.path.realpath(location.path))
    there = [repr(each.name) for each in (file, *location.sidecars()) if each.exists()]
    return (
        f": close every handle on it, move {', '.join(there)} away, and restore a backup into a "
        "new file"
    )


def _refusal(error: Exception, location: Location) -> str | None:
    """Say what keeps us from writing, if it lies beside the file."""
    if primary_code(error) in {driver.SQLITE_READONLY, driver.SQLITE_CANTOPEN}:
        return sidecars.in_the_way(location)
    return None
