"""The storage that fails, of ``tests.torture.faults``: its short form, and that it finds faults."""

from __future__ import annotations

import errno

import pytest

from tests.torture import storage
from tests.torture.faults import __main__ as faults
from tests.torture.faults import full_disk, lives
from tests.torture.faults.life import Plan
from tests.torture.storage import SYNC

watched = pytest.mark.skipif(storage.missing() is not None, reason=storage.missing() or "")


@watched
def test_storage_that_fails_is_told_and_costs_no_acknowledged_call() -> None:
    """Whatever fails, each call worked for good or says so, and works once the storage does."""
    figures = faults.run(6, seed=1)
    assert figures.faults == []
    assert figures.lives == 6 * len(storage.CLASSES)
    assert figures.failures.keys() == {"StartFailed", "StorageFailed"}
    assert figures.looks > 2 * figures.lives


def failing(first: int, last: int, *, on: bool) -> list[Plan]:
    """Have a sync fail in each of some lives, or with `on` all from it on, for a few calls."""
    return [Plan(SYNC, skip, errno.EIO, on, patience=6) for skip in range(first, last)]


ALONE, SHARED = failing(14, 17, on=True), failing(29, 37, on=True)


@watched
@pytest.mark.parametrize(
    ("broken", "plans"),
    [
        ("swallows_errors", ALONE),
        ("takes_a_failed_sync_for_a_commit", ALONE),
        ("lets_errors_through", ALONE),
        ("acknowledges_before_the_commit", ALONE),
        ("answers_one_caller_alone", SHARED),
    ],
)
def test_a_broken_library_is_noticed(broken: str, plans: list[Plan]) -> None:
    """A library that is broken on purpose does not live through what the sound one does."""
    assert lives.run(plans, broken).faults


@watched
def test_a_sound_library_is_not() -> None:
    """What is noticed of broken ones is no fault of the test's."""
    assert lives.run([*ALONE, *SHARED]).faults == []


@watched
@pytest.mark.skipif(full_disk.missing() is not None, reason=full_disk.missing() or "")
def test_a_disk_that_is_full_fails_calls_until_it_has_room() -> None:
    """On a real full disk calls fail and lose nothing, and the handle works with room again."""
    assert full_disk.faults(2) == []
