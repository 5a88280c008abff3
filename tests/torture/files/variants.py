"""The library broken on purpose, in the ways that a bad file shows."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from beryl_groups import sqlite
from beryl_groups.sqlite import connections, copies, schema, tampering
from beryl_groups.sqlite import errors as sqlite_errors
from beryl_groups.sqlite.core import CoreConnection
from beryl_groups.sqlite.store import Store

if TYPE_CHECKING:
    from beryl_groups.sqlite.location import Location


def lets_errors_through() -> None:
    """An error of the driver reaches the caller as it is."""
    Store.translated = lambda self, error: error  # type: ignore[method-assign]


def runs_what_lies_in_the_file() -> None:
    """Triggers run, and nobody looks for them."""
    connections.distrust = lambda connection: None
    tampering.made_tables = lambda connection, location: {}
    tampering.refuse_altered = lambda connection, tables, revision, location: None


def gives_what_is_no_text() -> None:
    """A name is given as whatever was read."""
    CoreConnection.texts = lambda self, names: names  # type: ignore[method-assign]


def touches_what_it_refuses() -> None:
    """A file with a log is opened as ours before it is known to be."""
    schema.refuse_before_it_is_touched = lambda location, busy_timeout: None


def finds_nothing_wrong() -> None:
    """``check`` has nothing to say."""
    copies.problems = lambda connection, on_the_way=None: []


def dies_of_damage() -> None:
    """A damaged file takes the process along."""
    sound = sqlite_errors.reason

    def reason(
        error: BaseException, location: Location | None = None, *, growing_to: int = 0
    ) -> str:
        if connections.primary_code(error) == sqlite.driver.SQLITE_CORRUPT:
            os.abort()
        return sound(error, location, growing_to=growing_to)

    sqlite_errors.reason = reason


def hangs_on_damage() -> None:
    """A damaged file is looked at for ever."""
    sound = sqlite_errors.reason

    def reason(
        error: BaseException, location: Location | None = None, *, growing_to: int = 0
    ) -> str:
        if connections.primary_code(error) == sqlite.driver.SQLITE_CORRUPT:
            time.sleep(10**6)
        return sound(error, location, growing_to=growing_to)

    sqlite_errors.reason = reason


BROKEN = {
    broken.__name__: broken
    for broken in (
        lets_errors_through,
        runs_what_lies_in_the_file,
        gives_what_is_no_text,
        touches_what_it_refuses,
        finds_nothing_wrong,
        dies_of_damage,
        hangs_on_damage,
    )
}
