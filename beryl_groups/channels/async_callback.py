"""An async callback for those who call from other threads than that of its event loop."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from beryl_groups.broadcast import check_callback
from beryl_groups.failures import LoopEnded
from beryl_groups.names import shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

T = TypeVar("T")

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
        if end.come.done() or not loop.is_running():
            raise LoopEnded("The event loop of the async callback does not run.")
        returned: list[asyncio.CancelledError | None] = []
        try:
            call = partial(callback, topic, event, payload)
            _outcome(_run(call, end, returned), loop, end.come)
        except LoopEnded:
            if not returned:  # it may have ended between the callback and this thread's turn
                raise
        if (failure := returned[0]) is not None:
            raise CancelledError(*failure.args) from failure

    return send


async def _run(
    call: Callable[[], object], end: _End, returned: list[asyncio.CancelledError | None]
) -> None:
    """Call and await on the loop; note that it has returned, or that it cancelled itself."""
    await end.foresee()
    failure = None
    try:
        result = call()
        if inspect.isawaitable(result):
            await result
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        failure = error  # nobody has cancelled the task
    returned.append(failure)


def _outcome(running: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, end: Future[T]) -> T:
    """Have a coroutine run on its loop, and wait for it as long as that runs."""
    try:
        future = asyncio.run_coroutine_threadsafe(running, loop)
    except RuntimeError as error:
        running.close()
        raise LoopEnded("The event loop of the async callback was closed.") from error
    try:
        while not wait([future, end], _LOOK_EVERY, FIRST_COMPLETED).done and loop.is_running():
            pass
        if not future.done() or (future.cancelled() and wait([end], _A_MOMENT).done):
            raise LoopEnded("The event loop stopped before the async callback was done.")
        return future.result()
    except BaseException:
        with suppress(RuntimeError):  # the loop is closed
            # On the loop: from here the future could meet the end of it, and would log that.
            loop.call_soon_threadsafe(future.cancel)
        if inspect.getcoroutinestate(running) == inspect.CORO_CREATED and not loop.is_running():
            running.close()  # which nobody else will
        raise


class _End:
    """The end of an event loop, foreseen.

    A loop that ends as that of ``asyncio.run`` does first cancels its tasks, then closes its async
    generators, and then waits for the threads of its pool, during which it goes on running. To one
    of these threads that has something to run on it, the end has come when the generators close.
    """

    _known: dict[asyncio.AbstractEventLoop, _End] = {}  # noqa: RUF012 - those that may yet run

    def __init__(self) -> None:
        self.come: Future[Any] = Future()
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
            self.come.set_result(None)


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
