"""What is done with files by hand, and not by SQLite: made, opened, named and synced."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a folder that may not be read says, and a file system that knows no such thing.
_NO_SYNC_OF_FOLDERS = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


def absolute(path: str) -> str:
    """Bind a path to today's folder, so that a later chdir moves nothing.

    Not normalised: what ".." means behind a symbolic link is for the system to say, and that a
    name with a slash at its end is a folder.
    """
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH117, PTH118


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Have the names in a folder on disk, where the system lets a folder be synced.

    Windows can open no folder, and keeps its names by itself.
    """
    if os.name != "posix":
        return
    try:
        with opened(folder, os.O_RDONLY) as descriptor:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC_OF_FOLDERS:
            raise


def create_for_owner(path: str | os.PathLike[str]) -> None:
    """Make an empty file for its owner alone, where there is nothing of that name."""
    with opened(path, os.O_CREAT | os.O_EXCL | os.O_RDWR) as descriptor:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)  # whatever the umask took away


@contextmanager
def opened(path: str | os.PathLike[str], flags: int) -> Iterator[int]:
    """Open a file for the length of the block; Ctrl-C leaves no descriptor, whenever it comes."""
    # A loop, for no signal is looked at between its step and its body, as is after a call.
    for descriptor in map(os.open, (path,), (flags,), (0o600,)):
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def in_lower_case(error: Exception) -> str:
    """Say what the system said, as a part of a sentence."""
    return (getattr(error, "strerror", None) or str(error)).lower()
