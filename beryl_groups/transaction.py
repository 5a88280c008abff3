"""A transaction as its user holds it: the methods of a handle, on one connection."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from beryl_groups import broadcast
from beryl_groups.errors import Closed, GroupError, StorageFailed
from beryl_groups.methods import GroupMethods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups.engine import Engine, Session

T = TypeVar("T")
Given = TypeVarTuple("Given")


@contextmanager
def committed(
    engine: Engine, wait: float | None = None, thread: int | None = None
) -> Iterator[Transaction]:
    """Give a transaction that is committed at the end of the block, or undone where it raises."""
    with engine.transaction(wait, thread) as session:
        transaction = Transaction(engine, session)
        try:
            yield transaction
        finally:
            transaction.end()
        transaction.refuse_if_failed()


class Transaction(GroupMethods):
    """What ``Groups.transaction()`` gives: all that it writes lands together, or none of it.

    It reads its own writes. Its broadcasts go to the topics as they stand at the call, and are
    delivered after the commit, in the order of the calls. After the block it is `Closed`.
    """

    def __init__(self, engine: Engine, session: Session) -> None:
        self._engine = engine
        self._session = session
        self._lock = threading.RLock()
        self._over = False
        self._failure: BaseException | None = None
        self.deliveries: list[Callable[[], None]] = []

    def _read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        with self._lock:
            self.refuse_if_unusable()
            return self._session.read(operation, *given)

    def _write(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        with self._lock:
            self.refuse_if_unusable()
            try:
                return self._session.write(operation, *given)
            except BaseException as error:
                # A refusal comes before anything is written; after all else, half of it may be.
                if not isinstance(error, GroupError) or isinstance(error, StorageFailed):
                    self._failure = error
                raise

    def refuse_if_unusable(self) -> None:
        """Raise where a call cannot be made: no longer, or not here."""
        if self._engine.abandoned:
            self._engine.refuse_if_closed()
        if self._over:
            raise Closed("The transaction is over: its block has been left.")
        self.refuse_if_failed()

    def _deliver(
        self,
        channels: Callable[[str, str, Any], object],
        group: str | tuple[str, ...],
        topics: tuple[str, ...],
        event: str,
        payload: object,
    ) -> None:
        self.deliveries.append(partial(broadcast.deliver, channels, group, topics, event, payload))

    def refuse_if_failed(self) -> None:
        """Raise where a call went wrong half way: what it left must not be committed."""
        if self._failure is not None:
            raise StorageFailed(
                "A call of this transaction failed half way, so nothing of it can be stored: "
                f"{self._failure}"
            ) from self._failure

    def end(self) -> None:
        """Refuse every later call."""
        with self._lock:
            self._over = True
