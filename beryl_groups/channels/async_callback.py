"""An async callback for those who call from other threads than that of its event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOOK_EVERY = 1.0
"""Seconds after which one who waits looks whether the loop still runs."""


def from_async(
    callback: Callable[[str, str, Any], Awaitable[object]], loop: asyncio.AbstractEventLoop
) -> Callable[[str, str, Any], None]:
    """Return a callback for other threads, which runs an async one on its event loop.

    It waits until the async callback has returned, and raises what that raised. On the thread of
    the loop itself, where to wait would be to wait for ever, it raises ``RuntimeError``, and so
    it does where the loop does not run: there, await the async callback itself.

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

    async def run(topic: str, event: str, payload: Any) -> None:
        await callback(topic, event, payload)

    def send(topic: str, event: str, payload: Any) -> None:
        if not loop.is_running():
            raise RuntimeError("The event loop of the async callback does not run.")
        if _runs_here(loop):
            raise RuntimeError(
                "This is the thread of the event loop, which would wait for itself: "
                "call from another thread, or await the async callback."
            )
        future = asyncio.run_coroutine_threadsafe(run(topic, event, payload), loop)
        try:
            while not wait([future], _LOOK_EVERY).done:
                if not loop.is_running():
                    raise RuntimeError("The event loop stopped before the async callback was done.")
        except BaseException:
            future.cancel()
            raise
        future.result()

    return send


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
