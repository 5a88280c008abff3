"""What can go wrong, each error with the values it speaks of and a sentence to act on."""

from __future__ import annotations


class GroupError(Exception):
    """The base of every error of this package."""


class AlreadyExists(GroupError):  # noqa: N818 - the names of the errors are part of the contract
    """A group of that name is there already.

    >>> str(AlreadyExists("team"))
    "The group 'team' exists already."
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"The group {self.name!r} exists already."


class NotFound(GroupError):  # noqa: N818
    """There is no group of that name.

    >>> str(NotFound("team"))
    "There is no group 'team'."
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"There is no group {self.name!r}."


class InvalidName(GroupError, ValueError):  # noqa: N818
    """A name that could not be stored faithfully.

    >>> str(InvalidName("", "it is empty"))
    "The name '' cannot be stored: it is empty."
    """

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(name, rule)
        self.name = name
        self.rule = rule

    def __str__(self) -> str:
        shown = self.name if len(self.name) <= 60 else self.name[:60] + "…"
        return f"The name {shown!r} cannot be stored: {self.rule}."


class StartFailed(GroupError):  # noqa: N818
    """The database could not be opened; it is as it was before the call.

    >>> str(StartFailed("a.db", "it is no SQLite database"))
    "The database 'a.db' cannot be opened: it is no SQLite database."
    """

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(database, reason)
        self.database = database
        self.reason = reason

    def __str__(self) -> str:
        return f"The database {self.database!r} cannot be opened: {self.reason}."


class StorageFailed(GroupError):  # noqa: N818
    """The storage beneath refused: a full disk, failed I/O, a damaged or read-only file.

    Nothing of the call that raised it is stored; what SQLite said is its ``__cause__``. Only where
    a sync failed, and the power does as well before the next write, all of it may be there after.
    The handle stays usable: once the storage works again, so does the next call.
    """


class Busy(StorageFailed):
    """Another writer held the database for longer than ``busy_timeout``."""


class OutcomeUnknown(StorageFailed):
    """A commit was asked for, and its answer never came: the call is stored whole, or not at all.

    It is not repeated by itself. Only a database on a server raises it.
    """


class Closed(StorageFailed):
    """The handle or the transaction can no longer be used here."""


class WalResetWarning(UserWarning):
    """Warns that the SQLite beneath has the WAL-reset fault (https://www.sqlite.org/wal.html)."""
