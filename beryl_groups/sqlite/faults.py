"""What is known to be wrong with some versions of the SQLite beneath."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beryl_groups.errors import WalResetWarning
from beryl_groups.sqlite import driver

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAL_RESET_FAULT = ((3, 7, 0), (3, 51, 2))

_WAL_RESET_MENDED_BEFORE = ((3, 44, 6), (3, 50, 7))


def known_faults() -> Iterator[Warning]:
    """Give a warning where the SQLite beneath has the WAL-reset fault.

    See https://www.sqlite.org/wal.html.
    """
    if _has_wal_reset_fault(driver.sqlite_version_info):
        yield WalResetWarning(
            f"SQLite {driver.sqlite_version} has a fault that can, in a rare race of two "
            "connections, damage a database in WAL mode; 3.51.3 mends it. The extra "
            "beryl_groups[sqlite] brings a newer SQLite."
        )


def _has_wal_reset_fault(version: tuple[int, ...]) -> bool:
    oldest, newest = _WAL_RESET_FAULT
    return oldest <= version <= newest and not any(
        mended[:2] == version[:2] and mended <= version for mended in _WAL_RESET_MENDED_BEFORE
    )
