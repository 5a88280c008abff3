"""Locks that Ctrl-C does not leak, wherever it comes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator


@contextmanager
def held(lock: threading.RLock, seconds: float) -> Iterator[bool]:
    """Hold a lock for the length of the block, and give whether it could be had in time."""
    try:
        yield lock.acquire(timeout=seconds)  # in here: an interrupt may come once it is held
    finally:
        # In no function of its own: an interrupt that has waited comes where one begins.
        try:  # noqa: SIM105
            lock.release()
        except RuntimeError:
            pass  # another thread holds it
