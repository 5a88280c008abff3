"""The states that a power cut could leave of one recorded workload, each of them opened."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.sqlite import revisions
from tests.torture import storage
from tests.torture.lanes import Progress
from tests.torture.powercut.disk import Disk
from tests.torture.powercut.judge import Found, Judge, hear, look
from tests.torture.powercut.workloads import DATABASE, WORKLOADS, lanes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.storage import Record

_MOST_EXPLANATIONS = 5


@dataclass(frozen=True)
class Recording:
    """Where everything about a recording is."""

    before: dict[str, dict[str, bytes]]
    """What each workload found, file by file."""
    log: Path
    package: Path
    seed: int
    keep: bool
    """Whether the first states that are wrong stay there to be looked at."""
    errors: list[str]
    """What went wrong while it was recorded."""

    def of(self, name: str) -> list[Record]:
        """Return the records of one workload."""
        found: list[Record] = []
        inside = False
        for record in storage.records(self.log):
            if record.kind == "M" and record.text.startswith(("workload ", "over")):
                inside = record.text == f"workload {name}"
            elif inside:
                found.append(record)
        return found


@dataclass
class Figures:
    """How many states were opened, and what was wrong with them."""

    states: set[bytes] = field(default_factory=set)
    faults: int = 0
    explanations: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.states |= other.states
        self.faults += other.faults
        self.explanations += other.explanations

    def __str__(self) -> str:
        return f"{len(self.states):,} states after a power cut, {self.faults:,} faults"


def replayed(recording: Recording, name: str) -> dict[str, bytes]:
    """Return the files as they are when everything that was recorded has come to the disk."""
    disk = Disk(recording.before[name])
    for moment, record in enumerate(recording.of(name)):
        disk.play(moment, record)
    return disk.cached()


def check(recording: Recording, name: str, wanted: int) -> Figures:
    """Open about that many states of a workload."""
    records = recording.of(name)
    share = min(1.0, wanted / len(records))
    each = round(max(1.0, wanted / len(records)))
    judge = Judge(name, lanes_of(name, recording.seed))
    disk, progress, figures = Disk(recording.before[name]), Progress(), Figures()
    known: dict[bytes, dict[str, Found]] = {}
    judged = set()
    package = recording.package if WORKLOADS[name].upgrade else None
    with revisions.installed(package), storage.scratch() as scratch:
        for moment, record in enumerate(records):
            hear(progress, record)
            disk.play(moment, record)
            random = Random(f"{recording.seed} {name} {moment}")
            if random.random() >= share:
                continue
            for files in (disk.after_a_cut(random) for _ in range(each)):
                key = _key(files)
                if key not in known:
                    known[key] = _open_all(files, scratch)
                if (case := (key, _key_of(progress))) in judged:
                    continue
                judged.add(case)
                if found := list(judge.faults(known[key], progress)):
                    figures.faults += 1
                    if len(figures.explanations) < _MOST_EXPLANATIONS:
                        where = f"{name}, moment {moment}{_kept(files) if recording.keep else ''}"
                        figures.explanations += [f"{where}: {fault}" for fault in found]
    figures.states = set(known)
    return figures


def _key_of(progress: Progress) -> tuple[frozenset[tuple[str, int]], ...]:
    return frozenset(progress.begun.items()), frozenset(progress.acknowledged.items())


def _key(files: dict[str, bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.digest()


def _open_all(files: dict[str, bytes], scratch: Path) -> dict[str, Found]:
    """Open the database, and each copy of it that has a name."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    _write(files, folder)
    copies = [name for name in files if name.endswith(".db") and name != DATABASE]
    found = {name: look(folder / name) for name in (DATABASE, *copies)}
    shutil.rmtree(folder)
    return found


def _write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _kept(files: dict[str, bytes]) -> str:
    folder = Path(tempfile.mkdtemp(prefix="powercut-"))
    _write(files, folder)
    return f" ({folder})"


def differences(real: dict[str, bytes], played: dict[str, bytes]) -> Iterator[str]:
    """Say where the recording does not give what is really there, byte for byte."""
    for name in sorted(real.keys() | played.keys()):
        if real.get(name) != played.get(name):
            yield f"{name} is not what the recording makes of it"
