"""What wakes a thread that waits."""

from __future__ import annotations

import threading
from contextlib import suppress


class Bell:
    """Wakes a thread, now or at its next wait; a signal handler or a finalizer may ring it."""

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        if self._silent.locked():
            with suppress(RuntimeError):  # another thread has rung it meanwhile
                self._silent.release()

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, and tell whether it did."""
        if not 0 <= seconds <= threading.TIMEOUT_MAX:
            seconds = max(min(seconds, threading.TIMEOUT_MAX), 0)
        return self._silent.acquire(timeout=seconds)
