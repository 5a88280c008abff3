"""What a fork does to handles.

A child that inherits an open SQLite connection can damage the file: by using it, by closing it,
and by opening the file anew, since SQLite then takes locks for held that only the parent holds
(https://www.sqlite.org/howtocorrupt.html, section 2.6). So every connection is closed for the
moment of a fork. The parent opens its own again when it needs them. In the child the handle is
refused, and a new ``start`` is safe. What could not be closed, because a transaction was open,
is never touched in the child, and ``start`` refuses that file there.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from beryl_groups.errors import StartFailed

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from beryl_groups.sqlite.location import Location


class Store(Protocol):
    """What can be told of a fork."""

    location: Location

    def paused(self) -> AbstractContextManager[bool]: ...
    def abandon(self, reason: str) -> list[object]: ...


_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_gate = threading.RLock()
_pauses = ExitStack()
_not_paused: list[Store] = []
_untouchable: set[tuple[int, int]] = set()


def watch(store: Store) -> None:
    """Have the store told of every fork, as long as it lives."""
    with _gate:
        _stores.add(store)


def refuse_untouchable(location: Location) -> None:
    """Raise `StartFailed` where opening the file in this process could damage it."""
    if _untouchable and location.identity() in _untouchable:
        raise StartFailed(
            location.shown,
            "this process was forked while its parent had a transaction open on it; fork outside "
            "of transactions, or start the process afresh",
        )


def _before() -> None:
    _gate.acquire()  # until after the fork: other threads that fork take their turns
    # An interrupt ends this and not the fork: what it did not come to has not been paused.
    _not_paused.extend(_stores)
    for store in list(_not_paused):
        if _pauses.enter_context(store.paused()):
            _not_paused.remove(store)


def _after_in_parent() -> None:
    _end()


def _end() -> None:
    _not_paused.clear()
    try:
        _pauses.close()
    finally:
        _gate.release()


def _after_in_child() -> None:
    reason = (
        f"The handle belongs to process {os.getppid()}, from which this process {os.getpid()} "
        "was forked: open the database here with start()."
    )
    for store in list(_stores):
        _leak(store.abandon(reason))
    for store in _not_paused:
        if (identity := store.location.identity()) is not None:
            _untouchable.add(identity)
    _stores.clear()
    _end()


def _leak(connections: list[object]) -> None:
    """Keep the connections from ever being closed, not even when the process ends."""
    if connections:
        import ctypes  # noqa: PLC0415 - few programs come here

        for connection in connections:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
