"""Work that waits for a server, done in a few threads at once."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def beside_each_other(work: Callable[[T], None], items: Iterable[T], most: int) -> None:
    """Do the work for each item, in this thread and in others; raise what one of them raised.

    An item is begun by one thread, and all have ended when this returns. Where no thread can be
    had, since the interpreter is about to end, this one does it all.
    """
    waiting = deque(items)
    failures: list[BaseException] = []

    def work_off() -> None:
        try:
            while not failures:
                try:
                    item = waiting.popleft()
                except IndexError:
                    return
                work(item)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asked for it
            failures.append(error)

    helpers = [
        threading.Thread(target=work_off, name="beryl_groups-writes", daemon=True)
        for _ in range(min(most, len(waiting)) - 1)
    ]
    started = []
    for helper in helpers:
        with suppress(RuntimeError):
            helper.start()
            started.append(helper)
    work_off()
    for helper in started:
        helper.join()
    if failures:
        raise failures[0]
