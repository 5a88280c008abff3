"""What a journal beside a file would make of it, found out on a copy.

Whoever opens a file beside which lies the journal of a transaction that never ended has SQLite undo
that transaction. That is right for a file of ours that was cut off in the making, and no way back
for a file that is refused afterwards, or whose journal is another file's
(https://www.sqlite.org/howtocorrupt.html, section 1.4).
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from beryl_groups import sqlite
from beryl_groups.errors import StartFailed
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.location import Location
from beryl_groups.sqlite.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.sqlite.connections import Connection


def refuse_what_comes_of_it(
    location: Location, refuse: Callable[[Connection, Location], object]
) -> None:
    """Raise `StartFailed` where the file could not be used once its journal is gone."""
    before = location.state_of_journal()
    if not (location.may_be_written() and _is_hot(location)):
        return
    with scratch_folder(location.path) as folder:
        copy = Location(location.shown, str(folder / "groups.db"))
        try:
            shutil.copyfile(location.path, copy.path)
            shutil.copyfile(location.journal, copy.journal)
            most = Path(copy.path).stat().st_size + copy.journal.stat().st_size
        except OSError:  # it has just gone, or there is no room for a copy
            return
        try:
            _try(copy, most, refuse)
        except (StartFailed, *sqlite.Errors):
            # Somebody who has undone it meanwhile would have us copy one half of each state.
            if location.state_of_journal() == before:
                raise


def _is_hot(location: Location) -> bool:
    """Tell whether SQLite would undo something, which a connection that only reads cannot."""
    try:
        connections.look(location, 0).close()
    except sqlite.Errors as error:
        return connections.primary_code(error) == sqlite.driver.SQLITE_READONLY
    return False


def _try(copy: Location, most: int, refuse: Callable[[Connection, Location], object]) -> None:
    """Have the copy recovered, and judge it: it had no more than lies in it and its journal."""
    with closing(connections.open_connection(copy, 0, "off")) as connection:
        if Path(copy.path).stat().st_size > most:
            raise StartFailed(copy.shown, "the journal beside it is damaged")
        refuse(connection, copy)
        ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if found != "ok":
            reason = f"what the journal beside it would make of it is damaged ({found})"
            raise StartFailed(copy.shown, reason)
