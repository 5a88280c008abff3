"""Watches, for the tasks of an event loop."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Self, cast

from beryl_groups.aio.threads import own_thread
from beryl_groups.aio.timers import call_later
from beryl_groups.failures import FailuresOfWatch
from beryl_groups.feed import Feed, Over
from beryl_groups.handle import Handle
from beryl_groups.lines import reason_of
from beryl_groups.logs import logger
from beryl_groups.lookout import PATIENCE
from beryl_groups.names import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    from beryl_groups.changes import Change
    from beryl_groups.lookout import Lookout


_SECONDS_AFTER_THE_LOOP = 1.0
"""Seconds after which it is noticed that an event loop has ended, which nothing tells."""


class AsyncWatch(
    Handle,
    AsyncIterator["Change"],
    Awaitable["AsyncWatch"],
    AbstractAsyncContextManager["AsyncWatch"],
):
    """What ``AsyncGroups.watch`` gives: an iterator of changes, or what tells them to a callback.

    It begins where it is awaited, where its block is entered, or with the first step of an ``async
    for``. After ``stop``, the end of its block or the handle's ``close`` nothing is told any more,
    and no thread and no task are left. Where the file was moved or replaced, iteration ends with a
    `StorageFailed`, and a callback is told no more, which is logged.
    """

    def __init__(
        self,
        lookout: Lookout,
        feed: partial[Feed],
        on_change: Callable[[Change], object] | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.loop = loop
        self._signal = _Signal(loop)
        self._lookout = lookout
        self._feed: Feed = feed(self._signal.ring, loop.is_closed)
        self._feed.interval = min(self._feed.interval, _SECONDS_AFTER_THE_LOOP)
        self._on_change = on_change
        self._begun = False
        self._task: asyncio.Task[None] | None = None

    def __await__(self) -> Generator[Any, None, Self]:
        return self._begin().__await__()

    async def stop(self) -> None:
        """Have nothing told any more, and wait for a callback that is under way to end.

        Inside of the callback it waits for nothing; elsewhere the callback is cancelled after five
        seconds, and where this is. To stop it twice is fine.

        >>> watch = await groups.watch(print)
        >>> await watch.stop()
        """
        self._begun = True  # it is not to begin any more
        self._lookout.end(self._feed)
        task, loop = self._task, asyncio.get_running_loop()
        if task is not None and task is not asyncio.current_task():
            call_off = call_later(loop, PATIENCE, partial(_cancel, task))
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                raise
            finally:
                call_off()
        with suppress(RuntimeError):  # the interpreter is about to end, and starts no thread
            await own_thread(partial(self._lookout.close, self._feed)).result_or_end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        if self._on_change is not None:
            raise TypeError(f"This watch tells all to its callback {shown(self._on_change)}.")
        await self._begin()
        try:
            return await self._next()
        except Over:
            raise StopAsyncIteration from None

    async def _begin(self) -> Self:
        if self._begun:
            return self
        self._begun = True
        try:
            self._lookout.add(self._feed)
            while not (self._feed.begun or self._feed.ended):
                await self._signal.wait()
            if self._feed.error is not None:
                raise self._feed.error
            self._lookout.engine.refuse_if_closed()
            if self._on_change is not None:
                self._task = asyncio.create_task(self._serve(self._on_change))
        except BaseException:
            self._lookout.end(self._feed)
            raise
        return self

    async def _next(self) -> Change:
        while (change := self._lookout.take(self._feed)) is None:
            await self._signal.wait()
        return change

    async def _serve(self, on_change: Callable[[Change], object]) -> None:
        try:
            while True:
                change: Change | None = await self._next()
                with FailuresOfWatch() as failures:
                    while change is not None:
                        await _tell(on_change, change, failures)
                        change = self._lookout.take(self._feed)
        except Over:
            pass
        except Exception as error:  # noqa: BLE001 - it is logged
            logger().error("A watch has ended: %s.", reason_of(error), exc_info=error)
        finally:
            self._lookout.end(self._feed)

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        state = "ended" if self._feed.ended else "open" if self._begun else "not begun"
        return f"<AsyncWatch of {self._lookout.engine.shown!r}, {state}>"

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is None:
            return
        try:
            if self._on_change is not None and not self._begun:
                warnings.warn(f"{self!r} was never awaited.", RuntimeWarning, stacklevel=2)
        finally:
            self._lookout.end(feed)


class _Signal:
    """Wakes tasks, from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rung = asyncio.Event()

    def ring(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self) -> None:
        await self._rung.wait()
        self._rung.clear()


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


async def _tell(
    on_change: Callable[[Change], object], change: Change, failures: FailuresOfWatch
) -> None:
    task = cast("asyncio.Task[None]", asyncio.current_task())
    try:
        returned = on_change(change)
        if isawaitable(returned):
            await returned
    except asyncio.CancelledError as error:
        if task.cancelling():
            raise
        failures.note(error, change.group, iter(()))  # nobody has cancelled this task
    except Exception as error:  # noqa: BLE001 - it is logged
        failures.note(error, change.group, iter(()))
