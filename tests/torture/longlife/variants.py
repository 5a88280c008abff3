"""The library broken so that something grows for ever; each has to be noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beryl_groups.sqlite.store import Store
from beryl_groups.sqlite.wal import Wal

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.sqlite.connections import Connection

_kept: list[object] = []


def keeps_memory() -> None:
    """Each read of the file leaves something in memory."""
    sound = Store.read_file

    def read_file(self: Store, operation: Callable[..., Any], *args: Any) -> Any:
        _kept.append(b"x" * 100_000)
        return sound(self, operation, *args)

    Store.read_file = read_file  # type: ignore[method-assign, assignment]


def keeps_connections() -> None:
    """A connection is forgotten where it should be given back, now and then."""
    sound = Store.give_back

    def give_back(self: Store, connection: Connection) -> None:
        _kept.append(None)
        if len(_kept) % 50:
            sound(self, connection)
        else:
            _kept.append(connection)

    Store.give_back = give_back  # type: ignore[method-assign]


def leaves_a_read_open() -> None:
    """A connection that has read stays in a transaction, which keeps its moment in the WAL."""
    sound = Store.connect

    def connect(self: Store) -> Connection:
        connection = sound(self)
        if not _kept:
            _kept.append(connection)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM groups").fetchall()
            return sound(self)
        return connection

    Store.connect = connect  # type: ignore[method-assign]


def never_waits_for_readers() -> None:
    """The WAL is left to SQLite alone."""
    Wal.keep_short = lambda self, connection: None  # type: ignore[method-assign]


BROKEN = {
    broken.__name__: broken
    for broken in (keeps_memory, keeps_connections, leaves_a_read_open, never_waits_for_readers)
}
