"""How the writers of several processes take turns on one file.

SQLite has no queue for them: who waits has to try again and again. Its own wait tries at longer
and longer intervals, a tenth of a second in the end, and beside a process that writes without a
pause it seldom meets the instant between two transactions. So it is done here: whoever waits
tries every millisecond, and whoever has held the file for long keeps off it for a moment.
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING

from beryl_groups import sqlite
from beryl_groups.clock import monotonic
from beryl_groups.sqlite import connections

if TYPE_CHECKING:
    from beryl_groups.sqlite.connections import Connection

_NEVER = float("inf")

_SECONDS_BETWEEN_TRIES = 0.001

_LONG = 0.025  # between shorter transactions, tries are many enough to meet the instant
_MOMENT = 0.002


class FileTurns:
    """The turns of one write connection."""

    def __init__(self) -> None:
        self._began = _NEVER
        self._free_until = 0.0

    def begin(self, connection: Connection, deadline: float) -> None:
        """Begin a write transaction; wait for other writers until the deadline, and then raise."""
        if self._free_until and (left := self._free_until - monotonic()) > 0:
            sleep(left)
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite.Error as error:
                if not connections.is_busy(error) or monotonic() >= deadline:
                    raise
            sleep(_SECONDS_BETWEEN_TRIES)
        self._began = monotonic()

    def end(self) -> None:
        """Take note that the transaction is over, if there was one."""
        now = monotonic()
        held = now - self._began
        self._began = _NEVER
        self._free_until = now + min(held / 20, _MOMENT) if held > _LONG else 0.0
