"""A write that somebody asks for, and what comes of it; the engine says who carries it out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from beryl_groups.clock import monotonic
from beryl_groups.errors import GroupError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Call(Generic[T]):
    """One write, from the moment it is asked for to its outcome."""

    done = False
    error: Exception | None = None
    result: Any = None

    def __init__(
        self, wait: float, work: Callable[..., T] | None, arguments: tuple[Any, ...] = ()
    ) -> None:
        self.work = work
        self.arguments = arguments
        self.deadline = monotonic() + wait

    def begin(self) -> bool:
        """Claim it for whoever carries it out, who may come back to it; False if withdrawn."""
        return True

    def attempt(self, connection: Any) -> None:
        """Do the work; it refuses before it has written anything, or it spoils the transaction."""
        self.error = None
        try:
            if self.work is not None:
                self.result = self.work(connection, *self.arguments)
        except GroupError as refusal:
            refusal.__context__ = None  # what the caller who leads is dealing with is no matter
            self.error = refusal

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
