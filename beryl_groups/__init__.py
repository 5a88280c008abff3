"""Durable groups of topics in one SQLite file, with broadcast to every topic of a group.

>>> import beryl_groups
>>> with beryl_groups.start(":memory:") as groups:
...     groups.create("team:engineering")
...     groups.add("team:engineering", "room:frontend", "room:backend")
...     groups.broadcast(print, "team:engineering", "deploy_started", {"env": "prod"})
room:backend deploy_started {'env': 'prod'}
room:frontend deploy_started {'env': 'prod'}
"""

from beryl_groups.errors import (
    AlreadyExists,
    Busy,
    Closed,
    GroupError,
    InvalidName,
    NotFound,
    StartFailed,
    StorageFailed,
    WalResetWarning,
)
from beryl_groups.groups import Groups, start
from beryl_groups.transaction import Transaction

__all__ = [
    "AlreadyExists",
    "Busy",
    "Closed",
    "GroupError",
    "Groups",
    "InvalidName",
    "NotFound",
    "StartFailed",
    "StorageFailed",
    "Transaction",
    "WalResetWarning",
    "start",
]
