"""The WAL, kept from growing for ever.

SQLite moves what the WAL holds into the file after some megabytes of it, and writes it from its
beginning again at the next commit, if nobody reads from it at that moment. Where several threads
and processes read all the time such a moment does not come by itself, and the WAL grows as long
as they do (https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files). So whoever
writes waits for it now and then: it holds up writers for a moment, and readers not at all.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from beryl_groups import sqlite

if TYPE_CHECKING:
    from beryl_groups.location import Location

MOST_BYTES = 8 * 2**20
"""About twice what SQLite lets it grow to where it finds its moment."""

_COMMITS_BETWEEN_LOOKS = 16

_PATIENCE = 0.1


class Wal:
    """The WAL of one file, as the writer of one handle sees it."""

    def __init__(self, location: Location, busy_timeout: float) -> None:
        self._path = location.wal_path()
        self._busy_timeout = busy_timeout
        self._commits = 0
        self._tolerated = MOST_BYTES

    def after_commit(self, connection: sqlite.Connection) -> None:
        """Empty the WAL where it has grown too large, if all readers can be waited for."""
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN_LOOKS:
            return
        try:
            size = os.stat(self._path).st_size  # noqa: PTH116 - several times as fast
        except OSError:
            return
        if size <= MOST_BYTES:
            self._tolerated = MOST_BYTES
        elif size > self._tolerated and not self._empty(connection):
            # Somebody reads for longer than that. There is no use in trying at once again.
            self._tolerated = size + MOST_BYTES

    def _empty(self, connection: sqlite.Connection) -> bool:
        # The commit is done whatever becomes of this.
        with suppress(sqlite.Error):
            sqlite.wait_at_most(connection, min(_PATIENCE, self._busy_timeout))
            try:
                return sqlite.empty_wal(connection)
            finally:
                sqlite.wait_at_most(connection, self._busy_timeout)
        return False
