"""What a fork does to handles.

A child inherits the sockets of its parent. What it said on one of them, or that it closes it with
a word of farewell, the server would take for the parent's. So in the child each handle is refused,
and its connections are left alone for as long as the process lives.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Database(Protocol):
    """What can be told of a fork."""

    def abandon(self, reason: str) -> list[object]: ...


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[object] = []


def watch(database: Database) -> None:
    """Have it told of every fork, as long as it lives."""
    _databases.add(database)


def _after_in_child() -> None:
    reason = (
        f"The handle belongs to process {os.getppid()}, from which this process {os.getpid()} "
        "was forked: open the database here with start()."
    )
    for database in list(_databases):
        _inherited.extend(database.abandon(reason))
    _databases.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
