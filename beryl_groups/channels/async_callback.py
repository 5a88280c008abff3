"""An async callback for those who call from other threads than that of its event loop."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from beryl_groups.broadcast import check_callback
from beryl_groups.failures import LoopEnded
from beryl_groups.names import shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

_LOOK_EVERY = 0.1
"""Seconds after which one who waits looks whether the loop still runs."""

_A_MOMENT = 0.1
"""Seconds that a loop may take from cancelling its tasks to telling that it ends."""


def from_async(
    callback: Callable[[str, str, Any], object], loop: asyncio.AbstractEventLoop
) -> Callable[[str, str, Any], None]:
    """Return a callback for other threads, which runs an async one on its event loop.

    It waits until the async callback has returned, and raises what that raised. On the thread of
    the loop itself, where to wait would be to wait for ever, it raises ``RuntimeError``: there,
    await the async callback itself. So it does where the loop does not run, or ends; a broadcast
    is over then, and logs how many topics did not get the event.

    >>> import asyncio
    >>> async def send(topic: str, event: str, payload: object) -> None:
    ...     print(topic, event, payload)
    >>> async def main() -> None:
    ...     channels = from_async(send, asyncio.get_running_loop())
    ...     await asyncio.to_thread(groups.broadcast, channels, "team:engineering", "lunch", None)
    >>> asyncio.run(main())
    room:backend lunch None
    room:frontend lunch None
    """
    check_callback(callback)
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(f"loop is an event loop of asyncio, not {shown(loop)}.")
    end = _End.of(loop)

    def send(topic: str, event: str, payload: Any) -> None:
        if _runs_here(loop):
            raise RuntimeError(
                "This is the thread of the event loop, which would wait for itself: "
                "call from another thread, or await the async callback."
            )
        if end.begun or not loop.is_running():
            raise LoopEnded("The event loop of the async callback does not run.")
        call = _Call(partial(callback, topic, event, payload), end)
        try:
            loop.call_soon_threadsafe(call.begin, loop)
        except RuntimeError as error:
            raise LoopEnded("The event loop of the async callback was closed.") from error
        call.wait(loop)

    return send


class _Call:
    """One call of the callback, for which a thread waits."""

    def __init__(self, call: Callable[[], object], end: _End) -> None:
        self._call = call
        self._end = end
        self._task: asyncio.Task[None] | None = None
        self._outcome: Future[None] = Future()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop do it, on which this runs, unless that is about to end."""
        if not self._end.begun:
            self._task = loop.create_task(self._run())
            self._end.tasks.add(self._task)
            self._task.add_done_callback(self._settle)

    def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for as long as the loop runs until it is done, and raise what it raised."""
        either = [self._outcome, self._end.come]
        try:
            while not wait(either, _LOOK_EVERY, FIRST_COMPLETED).done and loop.is_running():
                pass
            if not loop.is_closed():  # it may be between two runs, of which the last is its end
                wait(either, _A_MOMENT, FIRST_COMPLETED)
            if self._was_cancelled():  # by the loop that ends, as may turn out in a moment
                wait([self._end.come], _A_MOMENT)
        except BaseException:
            self._cancel(loop)
            raise
        if not self._outcome.done() or (self._was_cancelled() and self._end.come.done()):
            self._cancel(loop)
            raise LoopEnded("The event loop stopped before the async callback was done.")
        self._outcome.result()

    async def _run(self) -> None:
        await self._end.foresee()
        try:
            result = self._call()
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CancelledError(*error.args) from error  # nobody has cancelled the task

    def _settle(self, task: asyncio.Task[None]) -> None:
        self._end.tasks.discard(task)
        error = CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(error)

    def _was_cancelled(self) -> bool:
        return self._outcome.done() and self._task is not None and self._task.cancelled()

    def _cancel(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())


class _End:
    """The end of an event loop, foreseen.

    A loop that ends as that of ``asyncio.run`` does first cancels its tasks, then closes its async
    generators, and then waits for the threads of its pool, during which it goes on running. To one
    of these threads that has something to run on it, the end has come when the generators close.
    What has been begun since the tasks were cancelled is cancelled then, and nothing begins later.
    """

    _known: dict[asyncio.AbstractEventLoop, _End] = {}  # noqa: RUF012 - those that may yet run

    def __init__(self) -> None:
        self.begun = False
        self.come: Future[None] = Future()
        """Done when nothing is under way any more."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._generator: AsyncGenerator[None, None] | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> _End:
        for each in list(cls._known):
            if each.is_closed():
                cls._known.pop(each, None)
        return cls._known.setdefault(loop, cls())

    async def foresee(self) -> None:
        """Begin to wait for the end; on the loop."""
        if self._generator is None:
            self._generator = self._wait()
            await anext(self._generator)

    async def _wait(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.begun = True
            for task in self.tasks:
                task.cancel()
            if self.tasks:
                await asyncio.wait(self.tasks, timeout=_A_MOMENT)
            self.come.set_result(None)


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
