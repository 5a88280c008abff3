"""A write that a thread asks for, and what comes of it; `commits` says who carries it out."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from beryl_groups.errors import GroupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from beryl_groups.cache import Touched
    from beryl_groups.sqlite import Connection

T = TypeVar("T")


class Call(Generic[T]):
    """One write, from the moment it is asked for to its outcome."""

    def __init__(
        self,
        work: Callable[[Connection], T] | None,
        touched: Iterable[Touched],
        busy_timeout: float,
    ) -> None:
        self.work = work
        self.touched = touched
        self.deadline = time.monotonic() + busy_timeout
        self.thread = threading.get_ident()
        self.wake: threading.Lock | None = None
        self.done = False
        self.left = False
        self.error: Exception | None = None
        self.result: Any = None

    def attempt(self, connection: Connection) -> None:
        """Do the work; it refuses before it has written anything, or it spoils the transaction."""
        self.error = None
        try:
            if self.work is not None:
                self.result = self.work(connection)
        except GroupError as refusal:
            self.error = refusal

    def time_left(self) -> float:
        return min(max(self.deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)

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
