"""What an error of PostgreSQL means, and how a user is told of it.

By its SQLSTATE, for the text is in whatever language the server speaks. Nothing that is said holds
a password: neither the server nor libpq repeats one.
"""

from __future__ import annotations

import psycopg

from beryl_groups.engine import busy
from beryl_groups.errors import Busy, OutcomeUnknown, StorageFailed
from beryl_groups.lines import in_one_line
from beryl_groups.postgresql import SCHEMA
from beryl_groups.postgresql.connections import UNPREPARED, LostError
from beryl_groups.postgresql.pool import NoneFreeError
from beryl_groups.postgresql.turns import OvertakenError, UnknownError

ERRORS = (psycopg.Error, LostError, NoneFreeError, UnknownError, OvertakenError)
"""What the connections of this engine raise, all of which is translated."""

_LOCK_TIMEOUT = "55P03"
_TRANSIENT = {"40P01", "40001"}

_GRANT = (
    f"GRANT USAGE ON SCHEMA {SCHEMA}, and SELECT, INSERT, "
    f"UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA}, to it"
)
_MEANINGS = {
    "08006": "the connection broke",
    "0A000": "the server does not do this",
    "23503": "a row of another table refers to the group by a foreign key",
    "25006": "it may only be read: it is a standby, or its sessions are set to be read-only",
    "25P02": "a call of the transaction has failed before, so nothing of it can be stored",
    "25P03": "the server ended the transaction, which was idle for too long for its "
    "idle_in_transaction_session_timeout",
    "25P04": "the server ended the transaction, which took too long for its transaction_timeout",
    "26000": "a pooler between gave the connection to others, or a table was altered: try again",
    "28000": "the server does not let this role in",
    "28P01": "the password is wrong",
    "3D000": "there is no such database",
    "42501": f"the role may not do this: have the owner of the schema {_GRANT}",
    "42P01": "a table is missing: its schema has been removed or altered",
    "3F000": "its schema has been removed",
    "53100": "the server's disk is full",
    "53200": "the server's memory ran out",
    "53300": "the server has too many connections",
    "53400": "the server's configured limit is reached",
    "54000": "it is too much for the server",
    "57014": "the server ended the statement, which was cancelled or took too long for its "
    "statement_timeout",
    "57P01": "the server was shut down, or ended the connection",
    "57P02": "the server was shut down after a crash of another process of it",
    "57P03": "the server is starting or shutting down: try again",
    "57P05": "the server ended the connection, which was idle for too long for its "
    "idle_session_timeout",
    "58030": "the server could not read or write its files",
    "XX001": "the database is damaged",
    "XX002": "an index of the database is damaged",
}
_CLASSES = {
    "08": "the connection broke",
    "22": "the server did not take a value",
    "23": "the tables hold what they may not",
    "28": "the server does not let this role in",
    "40": "the server undid it, for it and others waited for each other",
    "42": "the tables are not as they ought to be",
    "53": "the server ran out of resources",
    "57": "the server ended it",
    "58": "the server's system failed",
    "XX": "the server failed within",
}


def is_transient(error: BaseException) -> bool:
    """Tell whether a single write that the server has undone may succeed at once."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _TRANSIENT | UNPREPARED


def is_mistaken(error: BaseException) -> bool:
    """Tell whether nothing is wrong but what was thought of a connection."""
    return isinstance(error, psycopg.Error) and error.sqlstate in UNPREPARED


def is_lock_timeout(error: BaseException) -> bool:
    return isinstance(error, psycopg.Error) and error.sqlstate == _LOCK_TIMEOUT


def reason(error: BaseException) -> str:
    """Say what an error means for a user, and what the server or libpq called it."""
    cause = error
    if isinstance(error, LostError) and isinstance(error.__cause__, psycopg.Error):
        cause = error.__cause__
    said = _said(cause)
    state = getattr(cause, "sqlstate", None) or ""
    meaning = _MEANINGS.get(state) or _CLASSES.get(state[:2])
    if meaning is None and not state and isinstance(error, (LostError, psycopg.OperationalError)):
        meaning = "no connection to the server can be had"
    return f"{meaning} ({said})" if meaning else said


def _said(error: BaseException) -> str:
    return in_one_line(" ".join(str(error).split()))  # libpq says it in lines with tabs


def reason_to_refuse(error: BaseException, busy_timeout: float) -> str:
    """Say why a database cannot be opened."""
    if is_lock_timeout(error):
        return f"another process has held it locked for longer than {busy_timeout:g} s"
    if getattr(error, "sqlstate", None) == "42501":
        return (
            f"the role may not make or read the schema {SCHEMA!r}: have the owner of the database "
            f"GRANT CREATE ON DATABASE to it for the first start, GRANT USAGE, CREATE ON SCHEMA "
            f"{SCHEMA} where that is there without our tables, or, where they are there, "
            f"{_GRANT} ({_said(error)})"
        )
    return reason(error)


def translate(error: Exception, shown: str, busy_timeout: float) -> StorageFailed:
    """Turn an error of the driver, or of what stands on it, into one of ours."""
    if is_lock_timeout(error) or isinstance(error, OvertakenError):
        return busy(shown, busy_timeout)
    if isinstance(error, NoneFreeError):
        return Busy(
            f"All connections of this handle to {shown!r} were in use for longer than "
            f"{busy_timeout:g} s: those of open transactions and of calls that wait for others."
        )
    if isinstance(error, UnknownError):
        return OutcomeUnknown(
            f"The connection to {shown!r} broke before a commit was answered, so whether this "
            f"call is stored is unknown: look at what the groups hold ({_said(error)})."
        )
    return StorageFailed(f"The database {shown!r} failed: {reason(error)}.")
