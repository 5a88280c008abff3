"""The connections that threads read through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import processes
from tests.processes import together

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from beryl_groups import Groups

    Release = Callable[[], None]
    Hold = Callable[[Path, Groups], AbstractContextManager[Release]]

NAMES = [f"name:{number}" for number in range(100)]


def test_reading_threads_share_connections(groups: Groups, path: Path) -> None:
    """20 threads that read have a connection each at the most, and fewer are kept afterwards."""
    groups.create("group")
    groups.add("group", "a")
    counts = []

    def connections() -> int:
        # SQLite keeps descriptors of the database itself for later, but of the WAL one for each.
        return processes.open_files().count(f"{path}-wal")

    def read() -> None:
        for _ in range(30):
            assert groups.topics("group") == {"a"}
            counts.append(connections())

    together(*[read] * 20)
    assert max(counts) <= 20 + 1
    assert connections() < 15
