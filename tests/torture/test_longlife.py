"""The long life of ``tests.torture.longlife`` made short, and that it notices what grows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.torture.longlife import watch
from tests.torture.longlife.variants import BROKEN
from tests.torture.longlife.workers import KINDS, Plan

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="what a process takes is read from /proc"
)


def test_nothing_grows_beside_a_reader_that_holds_on(tmp_path: Path) -> None:
    """Memory, descriptors and the WAL stay bounded, whatever several processes do at once."""
    figures = watch.run(Plan(tmp_path, 3, 1, longest_hold=0.5, patience=60))
    assert figures.faults == []
    assert all(figures.samples[kind] for kind in KINDS)
    assert max(figures.wal) > 0


@pytest.mark.parametrize("broken", BROKEN)
def test_what_grows_is_noticed(tmp_path: Path, broken: str) -> None:
    """A library that is broken on purpose takes more and more."""
    figures = watch.run(Plan(tmp_path, 120, 1, longest_hold=0.5, patience=1, broken=broken))
    assert figures.faults
