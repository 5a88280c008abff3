"""Timers of an event loop that measure real time (see `beryl_groups.clock`)."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from beryl_groups.clock import monotonic

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def call_later(
    loop: asyncio.AbstractEventLoop, seconds: float, function: Callable[[], None]
) -> Callable[[], None]:
    """Have the loop call a function after so many seconds, and return what calls that off."""
    if abs(loop.time() - monotonic()) < 1:
        return loop.call_later(seconds, function).cancel
    # The loop's own clock stands still, and its timers with it.
    called_off = threading.Event()

    def call() -> None:
        if not called_off.is_set():
            function()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(call)

    timer = threading.Timer(seconds, wake)
    timer.daemon = True
    timer.start()

    def call_off() -> None:
        called_off.set()
        timer.cancel()

    return call_off
