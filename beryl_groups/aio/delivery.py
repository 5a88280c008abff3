"""Delivery in tasks: callbacks that are awaited, several at a time, and none for too long."""

from __future__ import annotations

import asyncio
import operator
import threading
from contextlib import suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, cast

from beryl_groups.aio.timers import call_later
from beryl_groups.names import shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from beryl_groups.failures import Failures


def check_concurrency(concurrency: int) -> int:
    try:
        number = operator.index(concurrency)
    except TypeError as error:
        raise TypeError(f"concurrency is a whole number, not {shown(concurrency)}.") from error
    if isinstance(concurrency, bool):  # a number to Python, and to nobody who means one
        raise TypeError(f"concurrency is a whole number, not {concurrency}.")
    if number < 1:
        raise ValueError(f"concurrency is 1 or more, not {shown(concurrency)}.")
    return number


def check_timeout(timeout: float | None) -> float | None:
    if isinstance(timeout, bool):
        raise TypeError(f"timeout is a number of seconds, or None for no limit, not {timeout}.")
    try:
        if timeout is None or timeout > 0:  # which NaN is not
            return timeout and float(min(timeout, threading.TIMEOUT_MAX))
    except TypeError as error:
        raise TypeError(
            f"timeout is a number of seconds, or None for no limit, not {shown(timeout)}."
        ) from error
    raise ValueError(
        f"timeout is a number of seconds above 0, or None for no limit, not {shown(timeout)}."
    )


async def deliver(
    send: Callable[[str], object],
    topics: tuple[str, ...],
    failures: Failures,
    concurrency: int,
    timeout: float | None,
) -> None:
    """Call ``send(topic)`` for each topic, await what it returns, and log what fails.

    The calls begin in the order of the topics. Who cancels this task cancels all that it awaits,
    and no task is left when it ends.
    """
    delivery = _Delivery(send, iter(topics), failures, timeout)
    with failures:
        if concurrency == 1:
            await delivery.serve()
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(concurrency, len(topics))):
                    tasks.create_task(delivery.serve_beside())
        except ExceptionGroup as several:
            raise cast("BaseException", several.exceptions[0].__cause__) from None


class _PassingThrough(Exception):  # noqa: N818 - no error by itself
    """What is no ``Exception``, from a task to the one that waits for it.

    By itself it would end the event loop before the other tasks have ended.
    """


class _Delivery:
    """What one task, the caller's, or several serve.

    Who cancels the broadcast cancels the caller's task. So one of several that is cancelled while
    that is not, and while none of them has ended the broadcast, was cancelled by its own callback,
    as time limits made by hand do. In the caller's task nothing tells who has cancelled it.
    """

    def __init__(
        self,
        send: Callable[[str], object],
        left: Iterator[str],
        failures: Failures,
        timeout: float | None,
    ) -> None:
        self._send, self._left, self._failures, self._timeout = send, left, failures, timeout
        self._caller = cast("asyncio.Task[None]", asyncio.current_task())
        self._requests = self._caller.cancelling()
        self._passing = False

    async def serve(self) -> None:
        """Send to one topic after the other, until none is left."""
        for topic in self._left:
            await self._serve(topic)
            if self._is_over():
                raise asyncio.CancelledError  # which the callback has kept to itself

    async def serve_beside(self) -> None:
        """Do what `serve` does in one of several tasks."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            for topic in self._left:
                await self._serve(topic, task)
                if self._is_over():
                    raise asyncio.CancelledError
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._passing = True
            raise _PassingThrough from error

    def _is_over(self) -> bool:
        return self._passing or self._caller.cancelling() > self._requests

    async def _serve(self, topic: str, task: asyncio.Task[None] | None = None) -> None:
        try:
            returned = self._send(topic)
            if isawaitable(returned):
                limit = self._timeout
                await (returned if limit is None else _finish(returned, limit))
            if task is not None and task.cancelling():
                await asyncio.sleep(0)  # where a cancellation that is still to come is met
        except asyncio.CancelledError as error:
            if self._is_over():
                raise
            self._failures.note(error, topic, self._left)
        except Exception as error:  # noqa: BLE001 - it is logged
            self._failures.note(error, topic, self._left)
        if task is not None and task.cancelling() and not self._is_over():
            await _forget_cancellation(task)


async def _forget_cancellation(task: asyncio.Task[None]) -> None:
    """Keep what a callback has done to its task from the next one."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    while task.cancelling():
        task.uncancel()


async def _finish(returned: Awaitable[object], timeout: float) -> None:
    """Await what a callback returned, for as long as it may take."""
    limit, loop = asyncio.timeout(None), asyncio.get_running_loop()
    cause = None
    call_off = call_later(loop, timeout, lambda: limit.reschedule(loop.time()))
    try:
        async with limit:
            await returned
    except (Exception, asyncio.CancelledError) as error:
        if not limit.expired():
            raise
        cause = error
    finally:
        call_off()
    if limit.expired():
        raise TimeoutError(f"The callback took longer than {timeout:g} s.") from cause
