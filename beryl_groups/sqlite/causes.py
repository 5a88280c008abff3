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

from beryl_groups.sqlite import drafts

if TYPE_CHECKING:
    from beryl_groups.sqlite.location import Location

_FILES_OF_A_CALL = 12
"""More than any call opens at a time: with fewer left, one may have had none left."""

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
            for _ in range(_FILES_OF_A_CALL):
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno == errno.EMFILE:
            said = "this process has as many files open as it may"
            if sys.platform != "win32":
                # Not by the module of limits, for which there may be no file left either.
                said += f", {os.sysconf('SC_OPEN_MAX'):,}"
            return said
        if error.errno == errno.ENFILE:
            return "the system has as many files open as it may"
    return None


def of_no_write(location: Location, growing_to: int = 0) -> str | None:
    """Say why nothing could be written, by an attempt to write beside the database.

    A file that would have had more bytes than the process may write is told as well.
    """
    limit = _most_bytes()
    if limit is not None and (growing_to > limit or _is_reached(limit, location)):
        return f"a file of this process may have no more than {limit:,} bytes"
    attempt = location.wal.with_name(drafts.new_name())
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


def _most_bytes() -> int | None:
    """Return how large a file of this process may be, None where there is no limit."""
    if sys.platform != "win32":
        with suppress(ImportError, OSError):  # the module may have to be read from a file first
            import resource  # noqa: PLC0415 - Windows has no such thing

            limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
            if limit != resource.RLIM_INFINITY:
                return limit
    return None


def _is_reached(limit: int, location: Location) -> bool:
    """Tell whether the file or its WAL has no room for much more below the limit for files."""
    with suppress(OSError):
        return any(size + _BYTES_TO_TRY > limit for size in location.sizes())
    return False
