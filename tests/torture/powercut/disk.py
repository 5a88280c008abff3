"""What a disk may hold after a power cut, by the strictest reading of what a sync promises.

Until a file is synced each of its sectors may be on the disk as it was at any moment since the
last sync, whatever became of the others; so may its length; where it has grown and nothing has
come to the disk there may be anything. A name that was given or taken away counts in the same
way until its folder is synced, and a sync of the file does nothing for its name. A sync covers
what was there when it began. What a failed sync would have covered is not covered by any later
one either, until it is written anew: Linux takes such pages for clean. Names are kept in a journal,
which is not written past what failed: a later sync of the folder covers them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from tests.torture.storage import Record

    Choose = Callable[[int], int]
    """Say which of so many versions is on the disk, the oldest being 0."""

T = TypeVar("T")

SECTOR = 512


class Versions(Generic[T]):
    """Something on the disk, and what it may be instead for want of a sync, oldest first."""

    def __init__(self, on_disk: T) -> None:
        self._on_disk = on_disk
        self._later: list[tuple[int, T]] = []
        self._lost_before = -1

    def put(self, moment: int, value: T) -> None:
        self._later.append((moment, value))

    def latest(self) -> T:
        return self._later[-1][1] if self._later else self._on_disk

    def choose(self, choose: Choose) -> T:
        """Return what is on the disk, if that is left to choice."""
        which = choose(len(self._later) + 1) if self._later else 0
        return self._later[which - 1][1] if which else self._on_disk

    def synced(self, since: int) -> bool:
        """Take what was there at that moment for durable; tell whether all is settled."""
        covered = [each for each in self._later if each[0] < since]
        if covered and covered[-1][0] >= self._lost_before:
            self._on_disk = covered[-1][1]
            del self._later[: len(covered)]
        return not self._later

    def failed(self, since: int) -> None:
        self._lost_before = since


class File:
    """One file, whatever names it has."""

    def __init__(self, content: bytes = b"") -> None:
        self.cached = bytearray(content)
        self._on_disk = bytearray(content)
        self._length = Versions(len(content))
        self._sectors: dict[int, Versions[bytes | None]] = {}

    def write(self, moment: int, at: int, payload: bytes) -> None:
        end = at + len(payload)
        if end > len(self.cached):
            self.cached.extend(bytes(end - len(self.cached)))
            self._length.put(moment, end)
        self.cached[at:end] = payload
        self._changed(moment, at, end)

    def truncate(self, moment: int, length: int) -> None:
        before = len(self.cached)
        if length < before:
            del self.cached[length:]
        else:
            self.cached.extend(bytes(length - before))
        self._length.put(moment, length)
        self._changed(moment, min(length, before), max(length, before))

    def sync(self, since: int) -> None:
        self._length.synced(since)
        for number, sector in list(self._sectors.items()):
            settled = sector.synced(since)
            data = sector.choose(lambda _: 0)
            if data is not None:
                self._put_on_disk(number, data)
            if settled:
                del self._sectors[number]

    def fail_sync(self, since: int) -> None:
        for sector in self._sectors.values():
            sector.failed(since)

    def content(self, choose: Choose, filler: bytes) -> bytes:
        """Return what the disk holds; the filler is where it has never been written."""
        length = self._length.choose(choose)
        found = self._on_disk[:length]
        while len(found) < length:
            found += filler[: length - len(found)]
        for number, sector in self._sectors.items():
            at = number * SECTOR
            data = sector.choose(choose)
            if data is not None and at < length:
                found[at : at + SECTOR] = data[: length - at]
        return bytes(found)

    def _changed(self, moment: int, begin: int, end: int) -> None:
        for number in range(begin // SECTOR, -(-end // SECTOR)):
            at = number * SECTOR
            if number not in self._sectors:
                on_disk = self._on_disk[at : at + SECTOR]
                self._sectors[number] = Versions(bytes(on_disk) if on_disk else None)
            data = self.cached[at : at + SECTOR].ljust(SECTOR, b"\0")
            self._sectors[number].put(moment, bytes(data))

    def _put_on_disk(self, number: int, data: bytes) -> None:
        at = number * SECTOR
        if len(self._on_disk) < at:
            self._on_disk.extend(bytes(at - len(self._on_disk)))
        self._on_disk[at : at + SECTOR] = data


class Disk:
    """One folder, played from its records."""

    def __init__(self, before: dict[str, bytes]) -> None:
        self._names: dict[str, Versions[File | None]] = {
            name: Versions(File(content)) for name, content in before.items()
        }
        self._moved: list[tuple[str, File]] = []
        self._files: dict[int, File] = {}
        self._folder = -1
        self._began: dict[int, int] = {}

    def play(self, moment: int, record: Record) -> None:
        """Do what the record says; the moments of records rise."""
        match record.kind:
            case "W":
                self._files[record.inode].write(moment, record.at, record.payload)
            case "T":
                self._files[record.inode].truncate(moment, record.at)
            case "B":
                self._began[record.at] = moment
            case "E" | "F":
                self._sync(record.inode, self._began.pop(record.at), record.kind == "E")
            case "D":
                self._folder = record.inode
            case _:
                self._play_name(moment, record)

    def _play_name(self, moment: int, record: Record) -> None:
        name, _, new = (path.rpartition("/")[2] for path in record.text.partition("\n"))
        match record.kind:
            case "C":
                self._files[record.inode] = File()
                self._put(moment, name, self._files[record.inode])
            case "O":
                self._files[record.inode] = self._file(name)
            case "U":
                self._put(moment, name, None)
            case "L":
                self._put(moment, new, self._file(name))
            case "R":
                self._moved.append((new, self._file(name)))
                self._put(moment, new, self._file(name))
                self._put(moment, name, None)

    def cached(self) -> dict[str, bytes]:
        """Return what everyone sees as long as there is power."""
        found = {name: versions.latest() for name, versions in self._names.items()}
        return {name: bytes(file.cached) for name, file in found.items() if file is not None}

    def after_a_cut(self, random: Random) -> dict[str, bytes]:
        """Return the files that may be there if the power goes now."""
        entry = _chooser(random)
        found = {name: versions.choose(entry) for name, versions in self._names.items()}
        for new, file in self._moved:  # one name or the other, never neither
            if file not in found.values():
                found[new] = file
        filler = random.choice((bytes(SECTOR), random.randbytes(SECTOR)))
        return {
            name: file.content(_chooser(random), filler)
            for name, file in found.items()
            if file is not None
        }

    def _sync(self, inode: int, since: int, succeeded: bool) -> None:
        if inode != self._folder:
            file = self._files[inode]
            (file.sync if succeeded else file.fail_sync)(since)
            return
        if succeeded:
            for versions in self._names.values():
                versions.synced(since)
            self._moved.clear()

    def _put(self, moment: int, name: str, file: File | None) -> None:
        self._names.setdefault(name, Versions(None)).put(moment, file)

    def _file(self, name: str) -> File:
        file = self._names[name].latest()
        if file is None:
            raise LookupError(f"{name} was opened and is not there")
        return file


def load(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder; the shared memory of SQLite is made anew after a cut."""
    return {
        entry.name: entry.read_bytes()
        for entry in folder.iterdir()
        if not entry.name.endswith("-shm")
    }


def _chooser(random: Random) -> Choose:
    """Return a way to choose: nothing, all or a share of what is not certain to be there."""
    share = random.choice((0, 0, 1, 1, 0.1, 0.5, 0.9))

    def choose(number: int) -> int:
        if random.random() >= share:
            return 0
        return number - 1 if random.random() < 0.8 else random.randrange(number)

    return choose
