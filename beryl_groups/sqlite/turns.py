"""How the writers of several processes take turns on one file.

SQLite has no queue for them: who waits has to try again and again. Its own wait tries at longer
and longer intervals, a tenth of a second in the end, and beside a process that writes without a
pause it seldom meets the instant between two transactions. So it is done here: whoever waits
tries every millisecond, and whoever has held the file for long keeps off it for a moment, be it in
one transaction or, where others have lately been met at the file, in several without a pause.
"""

from __future__ import annotations

from time import sleep

from beryl_groups import sqlite
from beryl_groups.clock import monotonic
from beryl_groups.sqlite import connections

_NEVER = float("inf")

_SECONDS_BETWEEN_TRIES = 0.001

_LONG = 0.025  # between shorter transactions, tries are many enough to meet the instant
_MOMENT = 0.002

# Of eight processes each waits for seven turns. A turn of one transaction would be fairer still,
# but at every change of turns the file is held by nobody until the next one tries.
_TURN = 0.003
_LATELY = 0.1


class FileTurns:
    """The turns of one write connection."""

    def __init__(self) -> None:
        self._began = _NEVER
        self._turn_began = _NEVER
        self._met_others = -_NEVER
        self._free_until = 0.0

    def begin(self, connection: sqlite.driver.Connection, deadline: float) -> None:
        """Begin a write transaction; wait for other writers until the deadline, and then raise."""
        new_turn = self._free_until > 0
        if new_turn and (left := self._free_until - monotonic()) > 0:
            sleep(left)
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite.Error as error:
                if not connections.is_busy(error) or monotonic() >= deadline:
                    raise
            self._met_others = monotonic()
            new_turn = True
            sleep(_SECONDS_BETWEEN_TRIES)
        self._began = monotonic()
        if new_turn:
            self._turn_began = self._began

    def end(self) -> None:
        """Take note that the transaction is over, if there was one."""
        now = monotonic()
        held = now - self._began
        self._began = _NEVER
        if held > _LONG:
            self._free_until = now + min(held / 20, _MOMENT)
        elif now - self._turn_began > _TURN and now - self._met_others < _LATELY:
            self._free_until = now + _SECONDS_BETWEEN_TRIES  # so that whoever waits tries once
        else:
            self._free_until = 0.0
