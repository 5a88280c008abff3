"""Storage that is watched and fails on demand: the shim of ``storage.c``, from both sides.

`preloaded` runs a module in a process that has the shim; inside it, `Storage` speaks to it; the
log of what it saw is read with `records`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOURCE = Path(__file__).with_suffix(".c")
_ROOT = Path(__file__).parents[2]
_HEAD = struct.Struct("=IIQQ")

WRITE, SYNC, TRUNCATE, OPEN, ENTRY = CLASSES = (1, 2, 4, 8, 16)
SHORT_WRITE = -1
ERRORS = {
    "ENOSPC": errno.ENOSPC,
    "EIO": errno.EIO,
    "EDQUOT": errno.EDQUOT,
    "short write": SHORT_WRITE,
}


class Record(NamedTuple):
    """One operation on the folder, as ``storage.c`` writes it down."""

    kind: str
    inode: int
    at: int
    payload: bytes

    @property
    def text(self) -> str:
        return os.fsdecode(self.payload)


def missing() -> str | None:
    """Say why storage cannot be watched here, if it cannot."""
    if sys.platform != "linux":
        return "the shim between a process and its storage is for Linux"
    return None if shutil.which("cc") else "the shim between a process and its storage needs cc"


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder in memory, where there is such a thing: nothing here has to outlive a cut."""
    memory = "/dev/shm"
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder).resolve()


@contextmanager
def preloaded(
    folder: Path, log: Path | None, module: str, *words: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a module in a process with the shim on the folder, to talk to; it has to end well."""
    shim = folder.with_name(f"{folder.name}.so")
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", os.fspath(shim), os.fspath(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    environment = {**os.environ, "LD_PRELOAD": str(shim), "STORAGE_FOLDER": str(folder)}
    if log is not None:
        environment["STORAGE_LOG"] = str(log)
    with subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)


def records(log: Path) -> list[Record]:
    """Return all that the shim has written down."""
    raw = log.read_bytes()
    found, position = [], 0
    while position < len(raw):
        kind, length, inode, at = _HEAD.unpack_from(raw, position)
        position += _HEAD.size
        found.append(Record(chr(kind), inode, at, raw[position : position + length]))
        position += length
    return found


class Storage:
    """The shim, in the process that was started with it."""

    def __init__(self) -> None:
        self._shim = ctypes.CDLL(None)
        self._shim.storage_failed.restype = ctypes.c_long
        self._shim.storage_seen.restype = ctypes.c_long

    def mark(self, text: str) -> None:
        """Say something in the log, between the operations."""
        self._shim.storage_mark(os.fsencode(text))

    def fail(self, classes: int, skip: int, error: int, *, on: bool) -> None:
        """Have the operation behind `skip` others fail, or with `on` all from it on."""
        self._shim.storage_fail(classes, ctypes.c_long(skip), error, int(on))

    def mend(self) -> None:
        """Have nothing fail any more."""
        self._shim.storage_fail(0, ctypes.c_long(0), 0, 0)

    def failed(self) -> int:
        """Return how many operations have failed."""
        return int(self._shim.storage_failed())

    def seen(self, kind: int) -> int:
        """Return how many operations of a class there have been."""
        return int(self._shim.storage_seen(kind))
