"""A transaction as a task holds it: the methods of an async handle, on one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from beryl_groups.aio.methods import AsyncGroupMethods
from beryl_groups.aio.threads import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import ThreadPoolExecutor

    from beryl_groups.transaction import Transaction

T = TypeVar("T")
Given = TypeVarTuple("Given")


class AsyncTransaction(AsyncGroupMethods):
    """What ``AsyncGroups.transaction()`` gives: all that it writes lands together, or none of it.

    It reads its own writes. Its broadcasts go to the topics as they stand at the call, and are
    delivered after the commit, in the order of the calls. After the block it is `Closed`.
    """

    def __init__(self, transaction: Transaction, thread: ThreadPoolExecutor) -> None:
        self._transaction = transaction
        self._thread = thread
        self.deliveries: list[Callable[[], Coroutine[Any, Any, None]]] = []

    async def _read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        self._transaction.refuse_if_unusable()
        read = self._transaction._read  # noqa: SLF001 - another face of the same transaction
        job = Job(self._thread, lambda: read(operation, *given))
        return await job.result_or_end()

    async def _write(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        self._transaction.refuse_if_unusable()
        write = self._transaction._write  # noqa: SLF001
        job = Job(self._thread, lambda: write(operation, *given))
        return await job.result_or_end()

    async def _deliver(self, delivery: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.deliveries.append(delivery)
