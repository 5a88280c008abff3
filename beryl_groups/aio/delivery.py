"""Delivery in tasks: callbacks that are awaited, several at a time, and none for too long."""

from __future__ import annotations

import asyncio
import operator
import threading
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
    left = iter(topics)
    with failures:
        if concurrency == 1:
            await _serve(send, left, failures, timeout)
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(concurrency, len(topics))):
                    tasks.create_task(_serve_beside(send, left, failures, timeout))
        except ExceptionGroup as several:
            raise cast("BaseException", several.exceptions[0].__cause__) from None


class _PassingThrough(Exception):  # noqa: N818 - no error by itself
    """What is no ``Exception``, from a task to the one that waits for it.

    By itself it would end the event loop before the other tasks have ended.
    """


async def _serve_beside(
    send: Callable[[str], object], left: Iterator[str], failures: Failures, timeout: float | None
) -> None:
    """Do what `_serve` does in one of several tasks."""
    try:
        await _serve(send, left, failures, timeout)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        raise _PassingThrough from error


async def _serve(
    send: Callable[[str], object], left: Iterator[str], failures: Failures, timeout: float | None
) -> None:
    """Send to one topic after the other, until none is left."""
    task = cast("asyncio.Task[None]", asyncio.current_task())
    requests = task.cancelling()
    for topic in left:
        try:
            returned = send(topic)
            if isawaitable(returned):
                await (returned if timeout is None else _finish(returned, timeout))
        except asyncio.CancelledError as error:
            if task.cancelling() > requests:
                raise
            failures.note(error, topic, left)  # nobody has cancelled this task
        except Exception as error:  # noqa: BLE001 - it is logged
            failures.note(error, topic, left)
        if task.cancelling() > requests:
            raise asyncio.CancelledError  # which the callback has kept to itself


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
