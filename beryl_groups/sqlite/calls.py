"""A write as it waits for its turn; `commits` says whose it is."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from beryl_groups.calls import Call
from beryl_groups.sqlite.touched import touched_by

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence

    from beryl_groups.sqlite.cache import Touched
    from beryl_groups.sqlite.connections import Connection

T = TypeVar("T")


class QueuedCall(Call[T]):
    """A write of one thread: an operation, a batch of others' calls, or a transaction."""

    wake: threading.Lock | None = None
    left = False

    def __init__(
        self, wait: float, work: Callable[..., T] | None, arguments: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(wait, work, arguments)
        self.thread = get_ident()

    def touches(self) -> Iterable[Touched]:
        """Return which answers it may have changed."""
        return () if self.work is None else touched_by(self.work, self.arguments)

    def signal(self) -> None:
        if self.wake is not None and self.wake.locked():
            self.wake.release()


class TransactionCall(QueuedCall[None]):
    """A transaction, whose work is done in its user's block."""

    def __init__(self, wait: float, thread: int | None, *, synced: bool = False) -> None:
        super().__init__(wait, None)
        self.thread = thread or self.thread
        self.synced = synced
        self.touched: list[Touched] = []

    def touches(self) -> Iterable[Touched]:
        return self.touched


class BatchCall(QueuedCall[None]):
    """Calls that have waited elsewhere, carried out as one."""

    def __init__(self, wait: float, calls: Sequence[Call[Any]]) -> None:
        super().__init__(wait, self._attempt_each)
        self._calls = calls

    def touches(self) -> Iterable[Touched]:
        return {
            answer
            for call in self._calls
            if call.work is not None
            for answer in touched_by(call.work, call.arguments)
        }

    def _attempt_each(self, connection: Connection) -> None:
        for call in self._calls:
            if call.begin():
                call.attempt(connection)
