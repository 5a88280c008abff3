"""Whether a database file is reached under one name alone.

SQLite keeps what was written last in a file beside the database, which it finds by the name of the
database (https://www.sqlite.org/howtocorrupt.html, section 2.5). Who opens the same file by another
name, or in a container into which it was mounted without its folder, has another file beside it:
each loses what the other has written.
"""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from beryl_groups.errors import StartFailed
from beryl_groups.sqlite.drafts import remove_left

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beryl_groups.sqlite.location import Location

_MOUNTS = "/proc/self/mountinfo"  # Linux alone has it, and containers are Linux
_LOCKS = "/proc/locks"
_RANGE_OF_A_READER = "1073741826 1073742335"  # whoever has a file open in WAL mode holds it

_SECONDS_FOR_A_MOMENT = 0.5
"""A backup has a second name for the moment in which it gets its own."""


def refuse_other_names(location: Location) -> None:
    """Raise `StartFailed` where the file may be reached under another name as well."""
    if location.in_memory:
        return
    path = os.path.realpath(location.path)
    if (names := _names(path)) > 1:
        raise StartFailed(
            location.shown,
            f"the file has {names} names (hard links), and what is written under one of them would "
            "be lost under another: remove the other names, or copy the file",
        )
    if _is_mounted_alone(path):
        raise StartFailed(
            location.shown,
            "it is mounted without its folder, and what is written last is kept in a file beside "
            "it: mount the folder that holds it",
        )


def refuse_wal_elsewhere(location: Location) -> None:
    """Raise `StartFailed` where somebody has a file open, and has no files beside it.

    So it is with one that was moved or renamed while it was open. Linux alone tells it, and not of
    every file system.
    """
    for _ in _moments():
        if os.access(location.shared_memory, os.F_OK) or not _is_locked(location):
            return
    raise StartFailed(
        location.shown,
        "somebody has it open, and what was written last may lie beside another name, as where it "
        "was moved meanwhile: have it closed first",
    )


def _is_locked(location: Location) -> bool:
    if sys.platform == "linux":
        device, inode = location.identity() or (0, 0)
        file = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
        lock = f" {file} {_RANGE_OF_A_READER}\n".encode()
        with suppress(OSError):
            return lock in Path(_LOCKS).read_bytes()
    return False


def _moments() -> Iterator[None]:
    """Give one look, and more where what was seen may be gone in a moment."""
    for _ in range(50):
        yield
        time.sleep(_SECONDS_FOR_A_MOMENT / 50)


def _names(path: str) -> int:
    names = 1
    for look, _ in enumerate(_moments()):
        with suppress(OSError):  # whatever is wrong with the file, opening it will tell
            names = Path(path).stat().st_nlink
        if names <= 1:
            break
        if look == 0:  # a backup that was killed may have left its draft's
            remove_left(os.path.dirname(path))  # noqa: PTH120
    return names


def _is_mounted_alone(path: str) -> bool:
    """Tell whether the file is a mount point, and not of the very file of that name."""
    try:
        table = Path(_MOUNTS).read_bytes()
    except OSError:
        return False
    # What splits the line, and the backslash, stand there as octal numbers.
    escaped = re.sub(rb"[ \t\n\\]", lambda found: b"\\%03o" % ord(found[0]), os.fsencode(path))
    if b" %b " % escaped not in table:
        return False
    mounts = list(_mounts(table))
    device, root = next(
        (mount[1:] for mount in reversed(mounts) if mount[0] == escaped), (b"", b"")
    )
    folder = max(
        (mount for mount in mounts if mount[0] != escaped and _is_below(escaped, mount[0])),
        key=lambda mount: len(mount[0]),
        default=(b"/", b"", b"/"),
    )
    below = escaped[len(folder[0].rstrip(b"/")) :]
    return bool(device) and (device, root) != (folder[1], folder[2].rstrip(b"/") + below)


def _mounts(table: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Give where each mount is, of which device, and what of it (see proc_pid_mountinfo(5))."""
    for line in table.splitlines():
        _, _, device, root, point, *_ = line.split(b" ")
        yield point, device, root


def _is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder.rstrip(b"/") + b"/")
