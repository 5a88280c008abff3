"""A write that a thread asks for, and what comes of it; `commits` says who carries it out."""

from __future__ import annotations

import threading
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from beryl_groups import operations
from beryl_groups.errors import GroupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from beryl_groups.sqlite.cache import Touched
    from beryl_groups.sqlite.connections import Connection

T = TypeVar("T")


class Call(Generic[T]):
    """One write, from the moment it is asked for to its outcome."""

    wake: threading.Lock | None = None
    done = False
    left = False
    error: Exception | None = None
    result: Any = None
    touched: Iterable[Touched] | None = None
    """The answers that a transaction or a batch may change; else those of its operation."""

    def __init__(
        self, busy_timeout: float, work: Callable[..., T] | None, arguments: tuple[Any, ...] = ()
    ) -> None:
        self.work = work
        self.arguments = arguments
        self.deadline = monotonic() + busy_timeout
        self.thread = get_ident()

    def attempt(self, connection: Connection) -> None:
        """Do the work; it refuses before it has written anything, or it spoils the transaction."""
        self.error = None
        try:
            if self.work is not None:
                self.result = self.work(connection, *self.arguments)
        except GroupError as refusal:
            refusal.__context__ = None  # what the caller who leads is dealing with is no matter
            self.error = refusal

    def is_transaction(self) -> bool:
        return self.work is None and self.touched is not None

    def touches(self) -> Iterable[Touched]:
        """Return which answers it may have changed."""
        if self.work is None or self.touched is not None:
            return self.touched or ()
        return operations.touched(self.work, self.arguments)

    def time_left(self) -> float:
        return min(max(self.deadline - monotonic(), 0), threading.TIMEOUT_MAX)

    def answer(self, error: Exception) -> None:
        self.error, self.done = error, True

    def outcome(self) -> Any:
        """Return the result, or raise the error; it is forgotten here, or it would hold itself."""
        if self.error is not None:
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error
        return self.result

    def signal(self) -> None:
        if self.wake is not None and self.wake.locked():
            self.wake.release()
