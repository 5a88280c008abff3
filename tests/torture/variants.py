"""The library broken on purpose; each is applied in the processes of a run and nowhere else."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from beryl_groups import operations, sqlite
from beryl_groups.groups import Groups
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.commits import Writer
from beryl_groups.sqlite.location import Location
from beryl_groups.sqlite.turns import FileTurns
from beryl_groups.sqlite.write_connection import WriteConnection
from beryl_groups.transaction import Transaction
from tests.sqlite.store import connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from beryl_groups.sqlite.calls import QueuedCall


def never_syncs() -> None:
    """Each connection is set to ``synchronous=OFF``, whatever was asked for."""
    sound = connections.open_connection

    def open_connection(
        location: Location, busy_timeout: float, synchronous: connections.Synchronous
    ) -> connections.Connection:
        return sound(location, busy_timeout, "off")

    connections.open_connection = open_connection


def acknowledges_before_the_commit() -> None:
    """A write returns at once; another thread carries it out a moment later."""
    sound = Groups._write

    def write(self: Groups, operation: Callable[..., Any], *args: Any) -> None:
        def later() -> None:
            time.sleep(0.005)
            sound(self, operation, *args)

        threading.Thread(target=later, daemon=True).start()

    Groups._write = write  # type: ignore[method-assign, assignment]


def _commit_and_go_on(connection: connections.Connection) -> None:
    connection.execute("COMMIT")
    FileTurns().begin(connection, time.monotonic() + 60)


def splits_transactions() -> None:
    """A transaction is committed after each of its writes."""
    sound = Transaction._write

    def write(self: Transaction, operation: Callable[..., Any], *args: Any) -> Any:
        result = sound(self, operation, *args)
        _commit_and_go_on(connection(self))
        return result

    Transaction._write = write  # type: ignore[method-assign, assignment]


def splits_bulk_adds() -> None:
    """An ``add`` is committed in the middle of its topics."""
    sound = operations.add

    def add(connection: connections.Connection, name: str, topics: Iterable[str]) -> None:
        listed = list(topics)
        half = len(listed) // 2
        sound(connection, name, listed[:half])
        if half:
            _commit_and_go_on(connection)
        sound(connection, name, listed[half:])

    operations.add = add  # type: ignore[assignment]


def swallows_errors() -> None:
    """A commit that failed is taken for one that did not."""

    def commit_all(
        self: Writer, connection: connections.Connection, batch: list[QueuedCall[Any]]
    ) -> None:
        try:
            self._commit(connection, batch)
        except sqlite.Error as error:
            self._connection.roll_back(error)
            for call in batch:
                call.done = True

    Writer._commit_all = commit_all  # type: ignore[method-assign]


def takes_a_failed_sync_for_a_commit() -> None:
    """What a commit whose sync failed has left in the WAL is neither overwritten nor kept out."""
    connections.take_back_commit = lambda connection, busy_timeout: None
    WriteConnection._reconnect = lambda self, failed: self.close()  # type: ignore[method-assign]


def syncs_no_folder() -> None:
    """The names of the database and its WAL are left to SQLite, which ignores a failure there."""
    Location.sync_folder = lambda self: None  # type: ignore[method-assign]


BROKEN = {
    broken.__name__: broken
    for broken in (
        never_syncs,
        acknowledges_before_the_commit,
        splits_transactions,
        splits_bulk_adds,
        swallows_errors,
        takes_a_failed_sync_for_a_commit,
        syncs_no_folder,
    )
}
