"""Drafts: files in the making, beside what they become.

A process that is killed leaves its draft behind, under a name that says what it is, and whoever
makes the next one in the same folder removes it. That nobody works at it any more is told by the
lock on a file beside it, which a process holds as long as it lives. Where the file system knows no
such lock, nobody can tell, and it stays.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from beryl_groups.sqlite.files import create_for_owner, not_made, opened

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = ".beryl-groups-draft-"

_LOCK = "-lock"
_ENDINGS = ("", "-wal", "-shm", "-journal", _LOCK)  # the lock last, for it tells of the others


def new_name() -> str:
    """Return a name that no file has; what is left under it is removed as a draft's lock is."""
    return f"{PREFIX}{os.urandom(4).hex()}{_LOCK}"


class NoDraft(Exception):  # noqa: N818 - what it says is a part of a sentence
    """No draft could be made; the text says why."""


@contextmanager
def draft_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a new empty file, for its owner alone, in the folder of another.

    It is removed after the block, with all that SQLite kept beside it. Raises `NoDraft`.
    """
    folder = os.path.dirname(path)  # noqa: PTH120 - a Path drops a slash at the end
    remove_left(folder)
    draft = Path(folder) / f"{PREFIX}{os.urandom(4).hex()}"
    try:
        with _made(draft):
            yield draft
    finally:
        try:
            _remove(draft)
        finally:  # an interrupt may have cut that short
            _remove(draft)


def remove_left(folder: str) -> None:
    """Remove the drafts that killed processes have left in a folder."""
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208
            if name.startswith(PREFIX) and name.endswith(_LOCK):
                with suppress(OSError), _taken(os.path.join(folder, name)):  # noqa: PTH118
                    _remove(Path(folder) / name.removesuffix(_LOCK))


@contextmanager
def _made(draft: Path) -> Iterator[None]:
    """Have a draft that is locked for the length of the block."""
    making = True
    try:
        with _locked(f"{draft}{_LOCK}"):
            create_for_owner(draft)
            making = False
            yield
    except (OSError, ValueError) as error:
        if making:
            raise NoDraft(not_made(error, draft)) from error
        raise


def _remove(draft: Path) -> None:
    """Remove a draft; one that cannot be is left as by a process that was killed."""
    with suppress(OSError):
        for ending in _ENDINGS:
            Path(f"{draft}{ending}").unlink(missing_ok=True)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Make a file that is locked for the length of the block."""
    with opened(path, os.O_CREAT | os.O_EXCL | os.O_RDWR) as descriptor:
        _lock(descriptor)
        kept: bool = sys.platform == "win32" or _is_at(path, descriptor)
        if kept:
            yield
            return
    with _locked(path):  # somebody has removed it, for it was not locked at once
        yield


@contextmanager
def _taken(path: str) -> Iterator[None]:
    """Take what nobody has locked, or raise `OSError`."""
    if sys.platform == "win32":
        Path(path).unlink()  # what somebody has open cannot be removed
        yield
    else:
        with opened(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(path, descriptor):
                raise FileNotFoundError(path)
            yield


def _lock(descriptor: int) -> None:
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_at(path: str, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    return False
