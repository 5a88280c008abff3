"""What is done with files by hand, and not by SQLite: made, opened, named and synced."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a folder that may not be read says, and a file system that knows no such thing.
_NO_SYNC_OF_FOLDERS = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}

_PASSWORD = re.compile(r"(\w{2,}:/+).*@", re.DOTALL)


def absolute(path: str) -> str:
    """Bind a path to today's folder, so that a later chdir moves nothing.

    Not normalised: what ".." means behind a symbolic link is for the system to say, and that a
    name with a slash at its end is a folder.
    """
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH117, PTH118


def named(path: str) -> str:
    """Return a path that can be one of a file, or raise `ValueError`."""
    if not path:
        raise ValueError("it has no name")
    if "\0" in path:
        raise ValueError("a path cannot hold a NUL character")
    if "://" in path:
        raise ValueError("it is a URL, and no path of a file")
    return path


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path for a sentence, without the password of what may be a URL in its place."""
    return repr(_PASSWORD.sub(r"\1***@", os.fspath(path)))


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


def no_file(status: os.stat_result) -> str | None:
    """Say what there is in the place of a file; None where it is one."""
    if stat.S_ISREG(status.st_mode):
        return None
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return f"it is {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}"


def not_made(error: Exception, path: str | os.PathLike[str]) -> str:
    """Say why there is no file of this name, whose making has failed."""
    folder, name = os.path.split(path)
    is_there = os.path.isdir(folder)  # noqa: PTH112 - Path.is_dir() would raise
    if isinstance(error, FileNotFoundError) and not is_there:
        return f"there is no folder {folder!r}"
    if isinstance(error, PermissionError) and is_there:
        return f"permission to write in the folder {folder!r} is denied"
    if not name:
        return "a name with a slash at its end is that of a folder"
    return in_lower_case(error)


def in_lower_case(error: Exception) -> str:
    """Say what the system said, as a part of a sentence."""
    said: str | None = getattr(error, "strerror", None)
    return said.lower() if said else str(error)
