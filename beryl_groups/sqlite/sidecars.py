"""Files that somebody else has left beside the database, and that keep its writers out.

Who may read a database but not write it could make the files that SQLite keeps beside it, and not
remove them again; they are that user's, and whoever may write the database may not write them.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from beryl_groups.sqlite import Errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.location import Location


def in_the_way(location: Location) -> str | None:
    """Say which file beside the database keeps us from writing, and whose it is; None if none."""
    for path in _foreign(location):
        return f"{path.name!r} beside it belongs to {_owner(path)} and may not be written here"
    return None


def clear_away(location: Location, open_alone: Callable[[], Connection]) -> None:
    """Remove what is in the way, where it is empty of commits and nobody has the database open.

    ``open_alone()`` opens the database for nobody else to have it open at the same time, or raises
    where somebody has: what is beside it is in use then.
    """
    foreign = _foreign(location)
    if not foreign or location.has_commits_in_wal():
        return
    with suppress(*Errors, OSError), closing(open_alone()):
        for path in foreign:
            path.unlink()


def _foreign(location: Location) -> list[Path]:
    return [path for path in location.sidecars() if path.exists() and not os.access(path, os.W_OK)]


def _owner(path: Path) -> str:
    if sys.platform != "win32":
        import pwd  # noqa: PLC0415 - Windows has no such thing

        with suppress(OSError):
            user = path.stat().st_uid
            with suppress(KeyError):
                return repr(pwd.getpwuid(user).pw_name)
            return f"the user {user}"
    return "somebody else"
