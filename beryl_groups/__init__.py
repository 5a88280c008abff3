"""Durable groups of topics in one SQLite file, with broadcast to every topic of a group.

>>> import beryl_groups
>>> with beryl_groups.start(":memory:") as groups:
...     groups.create("team:engineering")
...     groups.add("team:engineering", "room:frontend", "room:backend")
...     groups.broadcast(print, "team:engineering", "deploy_started", {"env": "prod"})
room:backend deploy_started {'env': 'prod'}
room:frontend deploy_started {'env': 'prod'}
"""

TYPE_CHECKING = False  # type checkers go by the name, and typing takes its time to load

__all__ = [
    "AlreadyExists",
    "Busy",
    "Change",
    "Closed",
    "GroupError",
    "Groups",
    "InvalidName",
    "NotFound",
    "OutcomeUnknown",
    "StartFailed",
    "StorageFailed",
    "Transaction",
    "WalResetWarning",
    "Watch",
    "start",
]

if TYPE_CHECKING:
    from beryl_groups.changes import Change
    from beryl_groups.errors import (
        AlreadyExists,
        Busy,
        Closed,
        GroupError,
        InvalidName,
        NotFound,
        OutcomeUnknown,
        StartFailed,
        StorageFailed,
        WalResetWarning,
    )
    from beryl_groups.groups import Groups, start
    from beryl_groups.transaction import Transaction
    from beryl_groups.watch import Watch
else:

    def __getattr__(name: str) -> object:
        """Import what has the name when it is first asked for: Ctrl-C is to find us loaded."""
        from importlib import import_module  # noqa: PLC0415

        if name in {"changes", "errors", "groups", "transaction", "watch"}:
            return import_module(f"{__name__}.{name}")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # As statements: who packs an application looks for them.
        import beryl_groups.changes  # noqa: PLC0415
        import beryl_groups.errors  # noqa: PLC0415
        import beryl_groups.groups  # noqa: PLC0415
        import beryl_groups.transaction  # noqa: PLC0415
        import beryl_groups.watch  # noqa: PLC0415

        found = vars(beryl_groups.errors) | vars(beryl_groups.groups) | vars(beryl_groups.changes)
        found |= vars(beryl_groups.transaction) | vars(beryl_groups.watch)
        for each in __all__:
            globals().setdefault(each, found[each])  # a test may have put its own in place
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
