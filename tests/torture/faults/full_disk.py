"""A disk that is really full: a small one of memory, filled up to some bytes, and emptied again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups import StartFailed, StorageFailed
from tests.contract.test_durability import contents
from tests.processes import gather, together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beryl_groups import Groups

_MIB = 2**20
_THREADS = 3
_MOST_CALLS = 400


def missing() -> str | None:
    """Say why no disk can be filled here, if none can."""
    try:
        with _small_disk():
            return None
    except (OSError, subprocess.CalledProcessError):
        return "a full disk needs a tmpfs, which may not be mounted here"


def faults(rounds: int) -> list[str]:
    """Run out of disk in so many rounds, each with more room than the one before."""
    found = []
    with _small_disk() as disk:
        for number in range(rounds):
            room = number * _MIB // rounds
            path = disk / "groups.db"
            problem, acknowledged = gather(_fill_up_and_recover, [(path, room)])[0]
            if not problem:
                with beryl_groups.start(path) as groups:
                    problem = _wrong(groups, acknowledged) or " ".join(groups.check())
            if problem:
                found.append(f"a disk with {room:,} bytes left: {problem}")
            for entry in disk.iterdir():
                entry.unlink()
    return found


@contextmanager
def _small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", os.fspath(folder)]
        subprocess.run(mount, check=True, capture_output=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", os.fspath(folder)], check=True)
    finally:
        folder.rmdir()


def _fill_up_and_recover(path: Path, room: int) -> tuple[str, dict[str, set[str]]]:
    """Return what is wrong, if anything is, and all that was acknowledged."""
    filler = path.with_name("filler")
    _fill(filler, room)
    acknowledged: dict[str, set[str]] = {f"thread{number}": set() for number in range(_THREADS)}
    try:
        groups = beryl_groups.start(path)
    except StartFailed:
        filler.unlink()
        groups = beryl_groups.start(path)
    with groups:
        _fill(filler, room)
        for name in acknowledged:
            while not _create(groups, name):
                filler.unlink()
        _fill(filler, room)
        together(*(partial(_add_until_full, groups, *each) for each in acknowledged.items()))
        copy = path.with_name("copy.db")
        try:
            groups.backup(copy)
        except StorageFailed:
            if copy.exists():
                return "a backup that failed has left a file of its name", acknowledged
        if problem := _wrong(groups, acknowledged):
            return problem, acknowledged
        filler.unlink(missing_ok=True)
        for name, topics in acknowledged.items():
            groups.add(name, "with room again")
            topics.add("with room again")
        return _wrong(groups, acknowledged), acknowledged


def _create(groups: Groups, name: str) -> bool:
    try:
        groups.create(name)
    except StorageFailed:
        return False
    return True


def _add_until_full(groups: Groups, name: str, acknowledged: set[str]) -> None:
    for turn in range(_MOST_CALLS):
        topics = [f"{turn}:{number}:{'x' * 100}" for number in range(20)]
        try:
            groups.add(name, *topics)
        except StorageFailed:
            return
        acknowledged.update(topics)


def _wrong(groups: Groups, acknowledged: dict[str, set[str]]) -> str:
    found = contents(groups)
    if found == acknowledged:
        return ""
    return "; ".join(
        f"{name} lacks {len(topics - found.get(name, set()))} topics that were acknowledged, and "
        f"has {len(found.get(name, set()) - topics)} others"
        for name, topics in acknowledged.items()
    )


def _fill(filler: Path, room: int) -> None:
    """Have no more than so many bytes of the disk left."""
    left = shutil.disk_usage(filler.parent).free - room
    if left > 0:
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, left)
