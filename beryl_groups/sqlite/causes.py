"""What the system says where SQLite only says that something failed.

SQLite does not pass the system's error number on, and "disk I/O error" or "unable to open database
file" is no cause that a user could remove. So the system is asked again, on the way to an error: it
mostly refuses the same thing once more. The database itself is never touched for that.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beryl_groups.sqlite.location import Location

_FILES_OF_A_CONNECTION = 3

_BYTES_TO_TRY = 256 * 1024

_MEANINGS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the user on this disk is used up",
    errno.EROFS: "its file system may only be read, as one does after a fault of its disk",
    errno.EFBIG: "a file of this process may not grow further",
    errno.EIO: "the disk reports a fault",
    errno.ENOMEM: "memory ran out",
    errno.EACCES: "nothing may be written in its folder",
    errno.EPERM: "nothing may be written in its folder",
    errno.ENOENT: "its folder is gone",
}
if hasattr(errno, "ESTALE"):
    _MEANINGS[errno.ESTALE] = "the file server has lost its folder"


def of_no_file() -> str | None:
    """Say why a file could not be opened, where the reason is none of the file's."""
    try:
        with ExitStack() as stack:
            for _ in range(_FILES_OF_A_CONNECTION):
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno == errno.EMFILE:
            return f"this process has as many files open as it may, {_limit('RLIMIT_NOFILE'):,}"
        if error.errno == errno.ENFILE:
            return "the system has as many files open as it may"
    return None


def of_no_write(location: Location) -> str | None:
    """Say why nothing could be written, by an attempt to write beside the database."""
    limit = _limit("RLIMIT_FSIZE")
    if limit is not None and _is_reached(limit, location):
        return f"a file of this process may have no more than {limit:,} bytes"
    attempt = location.wal.with_name(f".beryl-{os.urandom(4).hex()}")
    try:
        try:
            with attempt.open("xb") as file:
                file.write(bytes(_BYTES_TO_TRY))
                file.flush()
                os.fsync(file.fileno())
        finally:
            with suppress(FileNotFoundError):
                attempt.unlink()
    except OSError as error:
        return _MEANINGS.get(error.errno or 0)
    return None


def _limit(name: str) -> int | None:
    """Return a limit of this process, None where there is none."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - Windows has no such thing

        limit, _ = resource.getrlimit(getattr(resource, name))
        if limit != resource.RLIM_INFINITY:
            return limit
    return None


def _is_reached(limit: int, location: Location) -> bool:
    """Tell whether the file or its WAL has no room for much more below the limit for files."""
    with suppress(OSError):
        return any(size + _BYTES_TO_TRY > limit for size in location.sizes())
    return False
