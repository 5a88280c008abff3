"""The library broken in ways of its own, for storage that fails; each has to be noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beryl_groups import sqlite
from beryl_groups.sqlite import connections
from beryl_groups.sqlite import errors as sqlite_errors
from beryl_groups.sqlite.commits import Writer
from tests.torture import variants

if TYPE_CHECKING:
    from beryl_groups.sqlite.calls import QueuedCall


def answers_one_caller_alone() -> None:
    """Of those who share a commit that failed, only the one who led it hears of that."""

    def commit_all(
        self: Writer, connection: connections.Connection, batch: list[QueuedCall[Any]]
    ) -> None:
        try:
            self._commit(connection, batch)
        except sqlite.Error as error:
            self._connection.roll_back(error)
            first, *others = batch
            first.answer(self._connections.translated(error))
            for call in others:
                call.done = True

    Writer._commit_all = commit_all  # type: ignore[method-assign]


def lets_errors_through() -> None:
    """An error of the driver reaches the caller as it is."""
    sqlite_errors.translate = lambda error, shown, busy_timeout: error  # type: ignore[assignment, return-value]


BROKEN = variants.BROKEN | {
    broken.__name__: broken for broken in (answers_one_caller_alone, lets_errors_through)
}
