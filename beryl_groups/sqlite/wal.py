"""The WAL, kept from growing for ever.

SQLite moves what the WAL holds into the file after some megabytes of it, and writes it from its
beginning again at the next commit, if nobody reads from it at that moment. Where several threads
and processes read all the time such a moment does not come by itself, and the WAL grows as long
as they do (https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files). So whoever
writes waits for it now and then: it holds up writers for a moment, and readers not at all.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from beryl_groups import sqlite
from beryl_groups.clock import monotonic
from beryl_groups.sqlite import connections

if TYPE_CHECKING:
    from beryl_groups.sqlite.location import Location

MOST_BYTES = 8 * 2**20
"""About twice what SQLite lets it grow to where it finds its moment."""

_PATIENCE = 0.1
"""Seconds to wait for a moment without readers."""

_SECONDS_BETWEEN_TRIES = 0.001

_SHARE = 20
"""Where somebody reads for longer, only every so many times that long is spent on waiting."""


class Wal:
    """The WAL of one file, as the writer of one handle sees it."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._not_before = 0.0

    def keep_short(self, connection: connections.Connection) -> None:
        """Empty the WAL where it has grown too large, if all readers can be waited for."""
        try:
            size = self._location.wal.stat().st_size
        except OSError:
            return
        begin = monotonic()
        if size > MOST_BYTES and begin >= self._not_before and not self._empty(connection):
            end = monotonic()
            self._not_before = end + _SHARE * (end - begin)

    def _empty(self, connection: connections.Connection) -> bool:
        # Tried more often than SQLite's own wait does, and others may write between the tries.
        deadline = monotonic() + _PATIENCE
        with suppress(sqlite.Error):  # the commit is done whatever becomes of this
            while not connections.empty_wal(connection):
                if monotonic() >= deadline:
                    return False
                time.sleep(_SECONDS_BETWEEN_TRIES)
            return True
        return False
