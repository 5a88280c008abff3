"""The watch broken on purpose; each has to be noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beryl_groups import changes, feed
from beryl_groups.sqlite.looks import FileLooks
from beryl_groups.sqlite.write_connection import WriteConnection

if TYPE_CHECKING:
    from collections.abc import Container, Hashable

    from beryl_groups.changes import Delta, Difference


def reads_the_version_last() -> None:
    """The version is asked for after the file was read: a commit in between is taken for seen."""
    sound = FileLooks.look

    def look(self: FileLooks, ranges: Any) -> Difference:
        before = self._version
        seen = sound(self, ranges)
        if self._version != before and self._connection is not None:
            (self._version,) = self._connection.execute("PRAGMA main.data_version").fetchone()
        return seen

    FileLooks.look = look  # type: ignore[method-assign]


def keeps_what_was_undone() -> None:
    """A transaction that is undone is committed."""

    def roll_back(self: WriteConnection, error: Exception | None = None) -> None:
        if self.current is not None and self.current.in_transaction:
            self.current.execute("COMMIT")

    WriteConnection.roll_back = roll_back  # type: ignore[method-assign]


def merges_a_change_away() -> None:
    """What comes later takes the place of what was not told yet."""

    def merge(pending: dict[Hashable, Delta], later: Difference, names: Container[str]) -> None:
        for group in later.deltas:
            pending.pop(group, None)
        changes.merge(pending, later, names)

    feed.merge = merge  # type: ignore[attr-defined]


BROKEN = {
    broken.__name__: broken
    for broken in (reads_the_version_last, keeps_what_was_undone, merges_a_change_away)
}
