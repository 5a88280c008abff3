"""What threads do for the tasks of an event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")


class Job(Generic[T]):
    """A function that a thread runs, and whose end a task waits for."""

    def __init__(self, pool: ThreadPoolExecutor, function: Callable[[], T]) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = self._loop.create_future()
        self._outcome: Future[T] = pool.submit(function)
        self._outcome.add_done_callback(self._signal)

    async def result(self) -> T:
        """Wait for the outcome. Who is cancelled leaves at once: a job not begun never will be."""
        while not self._outcome.done():
            try:
                await self._woken
            except asyncio.CancelledError:
                self._outcome.cancel()
                raise
        return self._outcome.result()

    async def end(self) -> None:
        """Wait until the thread is done with it, whatever comes of it and whoever cancels."""
        while not self._outcome.done():
            self._woken = self._loop.create_future()
            with suppress(asyncio.CancelledError):
                await self._woken

    async def result_or_end(self) -> T:
        """Wait for the outcome; who is cancelled waits for the end of a job that has begun."""
        try:
            return await self.result()
        except asyncio.CancelledError:
            await self.end()
            raise

    def _signal(self, _outcome: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)


def own_thread(function: Callable[[], T]) -> Job[T]:
    """Run a function in a thread of its own: it may take long, and keeps nobody waiting."""
    pool = ThreadPoolExecutor(1, "beryl_groups")
    try:
        return Job(pool, function)
    finally:
        pool.shutdown(wait=False)


async def ended_if_cancelled(function: Callable[[Callable[..., None]], T]) -> T:
    """Run a function in a thread of its own, with what to call now and then on the way.

    Where this task is cancelled that raises, and the end of the function is waited for.
    """
    given_up = threading.Event()

    def look_up(*_: object) -> None:
        if given_up.is_set():
            raise UndoneError

    job = own_thread(lambda: function(look_up))
    try:
        return await job.result()
    except asyncio.CancelledError:
        given_up.set()
        await job.end()
        raise


class UndoneError(Exception):
    """Ends in a thread what no task waits for any more."""


def running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "No event loop of asyncio runs here: beryl_groups.aio works on that of asyncio or of "
            "uvloop, and not with trio."
        ) from None
