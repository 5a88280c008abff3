"""How a connection is opened, set up and used."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Literal, TypeVar
from weakref import WeakValueDictionary

from beryl_groups.clock import monotonic
from beryl_groups.sqlite import Error, Errors, driver, sidecars
from beryl_groups.sqlite.core import CoreConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups.sqlite.location import Location

Synchronous = Literal["off", "normal", "full", "extra"]

APPLICATION_ID = 0x6272796C  # "bryl"; the first migration writes it

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables: https://www.sqlite.org/stricttables.html

_STEPS_BETWEEN_LOOKS = 100_000
"""Instructions of SQLite's virtual machine, some milliseconds' worth."""

_MOST_MILLISECONDS = 2**31 - 1

# https://www.sqlite.org/c3ref/c_dbconfig_defensive.html
_ENABLE_TRIGGER, _DEFENSIVE = 1003, 1010


_turns_to_close: WeakValueDictionary[object, threading.RLock] = WeakValueDictionary()
_gate = threading.Lock()


def _renew_gate() -> None:
    global _gate  # noqa: PLW0603 - the thread that may have held it is not in a forked child
    _gate = threading.Lock()
    _turns_to_close.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_gate)


class Connection(CoreConnection):
    """A connection of this package.

    Those to one file are closed one after the other: of two that close at the same moment each
    takes the other for one that stays, and leaves the sidecar files to it.
    """

    lasting = True
    is_outdated: Callable[[], bool] = staticmethod(lambda: False)
    """Tell whether what has been read through it may be wrong."""
    _turn_to_close: threading.RLock | None = None

    def take_turns(self, file: object) -> None:
        """Share the turns to close with all other connections of this process to the file."""
        with _gate:
            self._turn_to_close = _turns_to_close.setdefault(file, threading.RLock())

    def close(self) -> None:
        with self._turn_to_close or nullcontext():
            super().close()


class ReadOnlyConnection(Connection):
    """A connection to a database that may only be read here."""


class SettledConnection(ReadOnlyConnection):
    """A connection that takes the file to stand still: good for one look, not to be kept."""

    lasting = False


_C = TypeVar("_C", bound=Connection)


def open_connection(
    location: Location, busy_timeout: float, synchronous: Synchronous
) -> Connection:
    """Open the file to write, or to read where no more is allowed; never create it."""
    if not location.may_be_written():
        return open_to_read(location, busy_timeout)
    location.free_sidecars()
    sidecars.clear_away(location, lambda: _open_alone(location))
    connection = _connect(location, busy_timeout, Connection, mode="rw")
    try:
        _set_up(
            connection,
            f"synchronous = {synchronous}",
            "foreign_keys = ON",
            # On macOS a plain fsync does not reach the platter; elsewhere these do nothing.
            f"fullfsync = {synchronous in {'full', 'extra'}}",
            f"checkpoint_fullfsync = {synchronous != 'off'}",
        )
    except Error as error:
        if not lacks_sidecars(error, location):
            raise
        return open_to_read(location, busy_timeout)
    return connection


def look(location: Location, busy_timeout: float) -> Connection:
    """Open the file so that not even closing it again can change a byte of it."""
    connection = _connect(location, busy_timeout, ReadOnlyConnection, mode="ro")
    _set_up(connection, "foreign_keys = ON")
    return connection


def open_for_a_visit(location: Location, busy_timeout: float) -> Connection:
    """Open the file to read it, and have no file beside it afterwards that was not there before."""
    return open_connection(location, busy_timeout, "full")


def look_past_journal(location: Location) -> Connection:
    """Open the file as it lies there, without the recovery that a journal beside it may ask for."""
    return _connect(location, 0, SettledConnection, mode="ro", immutable="1")


def open_to_read(location: Location, busy_timeout: float) -> Connection:
    if location.is_at_rest():
        # Who may not write the file would make sidecar files, and leave them in writers' way.
        return open_settled(location, busy_timeout)
    if location.has_wal_of_old():
        error = driver.OperationalError("unable to open database file")
        error.sqlite_errorcode = driver.SQLITE_CANTOPEN
        raise error
    return look(location, busy_timeout)


def open_settled(location: Location, busy_timeout: float) -> Connection:
    """Open a file that nobody writes (https://www.sqlite.org/wal.html#readonly), for one look."""
    state = location.state()
    connection = _connect(location, busy_timeout, SettledConnection, mode="ro", immutable="1")
    connection.is_outdated = lambda: location.state() != state
    _set_up(connection, "foreign_keys = ON")
    return connection


def _open_alone(location: Location) -> Connection:
    """Open the file for nobody else to have it open, and without the files beside it."""
    connection = _connect(location, 0, Connection, mode="rw")
    _set_up(connection, "locking_mode = EXCLUSIVE")
    return connection


def _connect(location: Location, busy_timeout: float, factory: type[_C], **parameters: str) -> _C:
    connection = driver.connect(
        location.uri(**parameters),
        uri=True,
        timeout=min(busy_timeout, _MOST_MILLISECONDS / 1000),
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )
    connection.take_turns(location.identity() or location.path)
    return connection


def _set_up(connection: Connection, *settings: str) -> None:
    """Set a fresh connection up and have it read the file once, or close it."""
    try:
        distrust(connection)
        # There may be no folder for temporary files, which a statement that changes much asks for.
        for setting in (
            *settings,
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("PRAGMA schema_version").fetchall()
    except Errors:
        connection.close()
        raise


def distrust(connection: Connection) -> None:
    """Have no trigger run, and nobody write to the schema behind SQLite's back.

    Where the driver cannot be told so, `tampering` has looked for triggers at the start. An
    authorizer could be told, but one in Python swallows what a signal raises.
    """
    if hasattr(connection, "setconfig"):  # since Python 3.12
        connection.setconfig(_DEFENSIVE)
    see_triggers(connection, visible=False)


def see_triggers(connection: Connection, *, visible: bool) -> None:
    """Have SQLite look at triggers, to tell of them, or pass them over."""
    if hasattr(connection, "setconfig"):
        connection.setconfig(_ENABLE_TRIGGER, visible)


def take_back_commit(connection: Connection, busy_timeout: float) -> None:
    """Overwrite what a commit that failed has left in the WAL, if it may be written to.

    Where the sync failed all of it is there, and whoever opens the file after a crash would take
    it for committed. The next commit is written in the same place: one that changes nothing.
    """
    if connection.in_transaction:
        return
    with suppress(*Errors):
        # Somebody else may be writing there, or may give up again.
        wait_at_most(connection, busy_timeout)
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    with suppress(*Errors):
        wait_at_most(connection, 0)


@contextmanager
def watched(connection: Connection, look_up: Callable[[], None] | None) -> Iterator[None]:
    """Call `look_up` now and then while a long statement runs; an interrupt ends the block."""
    if look_up is None:
        yield
        return
    connection.set_progress_handler(look_up, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    except Error as error:
        # Ctrl-C comes while `look_up` runs, for elsewhere there is no Python to be interrupted.
        # The driver makes of it an order to SQLite to stop.
        if primary_code(error) == driver.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from error
        raise
    finally:
        connection.set_progress_handler(None, 0)


def lacks_sidecars(error: Exception, location: Location) -> bool:
    """Tell whether the files beside one in WAL mode could not be made: the folder is read-only."""
    code = primary_code(error)
    # That this is READONLY_DIRECTORY and not READONLY_ROLLBACK, pysqlite3 does not tell.
    return code == driver.SQLITE_CANTOPEN or (
        code == driver.SQLITE_READONLY and not location.has_journal()
    )


def wait_at_most(connection: Connection, seconds: float) -> None:
    """Set how long the connection waits for others from now on; with 0 it gives up at once."""
    milliseconds = round(min(seconds * 1000, _MOST_MILLISECONDS))
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}").fetchall()


def is_wal(connection: Connection) -> bool:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return bool(mode == "wal")


def use_wal(connection: Connection, busy_timeout: float) -> bool:
    """Put the file in WAL mode, where it is not yet; tell whether it is in the end.

    SQLite does not wait for others here as it does elsewhere, so this does.
    """
    deadline = monotonic() + busy_timeout
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except Error as error:
            if primary_code(error) != driver.SQLITE_BUSY or monotonic() >= deadline:
                raise
            time.sleep(0.005)
        else:
            return bool(mode == "wal")


def empty_wal(connection: Connection) -> bool:
    """Move all that the WAL holds into the file, and tell whether it is empty afterwards."""
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def primary_code(error: BaseException | None) -> int | None:
    """Return SQLite's code for what happened, without the details of its upper bits."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: Error) -> bool:
    return primary_code(error) == driver.SQLITE_BUSY
