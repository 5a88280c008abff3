"""The power cuts of ``tests.torture.powercut``: its short form, and that it can find something."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.torture import storage
from tests.torture.powercut import __main__ as powercut
from tests.torture.powercut import states
from tests.torture.powercut.disk import SECTOR, Disk, load
from tests.torture.storage import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

watched = pytest.mark.skipif(storage.missing() is not None, reason=storage.missing() or "")

OLD, NEW = b"o" * SECTOR, b"n" * SECTOR


@watched
def test_whatever_a_power_cut_leaves_holds_what_was_acknowledged() -> None:
    """Each state is sound, with all acknowledged calls and no half one, over all workloads."""
    figures = powercut.run(40, seed=2)
    assert figures.explanations == []
    assert figures.faults == 0
    assert len(figures.states) > 200


@watched
@pytest.mark.parametrize(
    ("broken", "workload", "wanted"),
    [
        ("never_syncs", "single adds", 80),
        ("acknowledges_before_the_commit", "single adds", 80),
        ("splits_transactions", "transactions", 80),
        ("splits_bulk_adds", "bulk", 80),
        ("takes_a_failed_sync_for_a_commit", "syncs that fail", 400),
        ("syncs_no_folder", "syncs that fail, opened again", 400),
    ],
)
def test_a_broken_library_is_noticed(broken: str, workload: str, wanted: int) -> None:
    """A library that is broken on purpose leaves states that are wrong."""
    figures = powercut.run(wanted, seed=2, broken=broken, names=[workload])
    assert figures.faults
    assert any("calls were acknowledged" in explanation for explanation in figures.explanations)


@watched
def test_the_recording_of_a_workload_is_whole(tmp_path: Path) -> None:
    """Played whole it gives the real files byte for byte; with one write missing it does not."""
    recording = powercut.record(tmp_path, 3, "", ["first open"])
    real = load(tmp_path / "databases" / "first open")
    records = recording.of("first open")
    assert {"C", "W", "B", "E", "U", "M"} <= {record.kind for record in records}
    last = max(moment for moment, record in enumerate(records) if record.kind == "W")
    disk = Disk(recording.before["first open"])
    for moment, record in enumerate(records):
        if moment != last:
            disk.play(moment, record)
    assert list(states.differences(real, disk.cached()))


def possible(*played: Record) -> set[tuple[tuple[str, bytes], ...]]:
    """Return all that may be on the disk after the records."""
    disk = Disk({"file": OLD + OLD})
    for moment, record in enumerate(played):
        disk.play(moment, record)
    random = Random(5)
    return {tuple(sorted(disk.after_a_cut(random).items())) for _ in range(300)}


def contents(*played: Record) -> set[bytes]:
    """Return what the file may hold after the records, where nothing becomes of its name."""
    return {content for ((_, content),) in possible(*played)}


OPEN = Record("O", 7, 0, b"folder/file")
WRITE_BOTH = Record("W", 7, 0, NEW + NEW)
WRITE_FIRST = Record("W", 7, 0, NEW)


def sync(inode: int = 7, number: int = 0, end: str = "E") -> Iterator[Record]:
    yield Record("B", inode, number, b"")
    yield Record(end, inode, number, b"")


def test_what_is_not_synced_may_be_there_in_any_part() -> None:
    """Each sector of a write is on the disk or not, whatever became of the others."""
    assert contents(OPEN, WRITE_BOTH) == {OLD + OLD, OLD + NEW, NEW + OLD, NEW + NEW}
    assert contents(OPEN, WRITE_BOTH, *sync()) == {NEW + NEW}


def test_a_write_during_a_sync_is_not_covered_by_it() -> None:
    """A sync covers what was written before it began, not what came before it ended."""
    begin, end = sync()
    assert contents(OPEN, begin, WRITE_FIRST, end) == {OLD + OLD, NEW + OLD}


def test_what_a_failed_sync_lost_no_later_one_brings_back() -> None:
    """A sync that succeeds after one that failed covers what was written in between alone."""
    failed, later = sync(end="F"), sync(number=1)
    assert contents(OPEN, WRITE_BOTH, *failed, WRITE_FIRST, *later) == {NEW + OLD, NEW + NEW}


def test_a_name_is_not_on_disk_before_its_folder_is_synced() -> None:
    """A file that was made may be gone, however often it was synced itself."""
    made = (Record("D", 1, 0, b"folder"), Record("C", 8, 0, b"folder/new"), *sync(inode=8))
    without = (("file", OLD + OLD),)
    assert possible(*made) == {without, (*without, ("new", b""))}
    assert possible(*made, *sync(inode=1, number=1)) == {(*without, ("new", b""))}


def test_a_file_that_is_renamed_has_one_name_or_the_other() -> None:
    """A rename is never half done, though an unlink and a link may be."""
    renamed = possible(Record("R", 0, 0, b"folder/file\nfolder/new"))
    assert {name for state in renamed for name, _ in state} == {"file", "new"}
    assert all(state for state in renamed)
