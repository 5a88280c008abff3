"""Calls that wait for a server, carried out in a few threads at once."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from beryl_groups.calls import Call

T = TypeVar("T")


def in_sequences(calls: Iterable[Call[Any]]) -> list[list[Call[Any]]]:
    """Put calls that speak of the same group into one sequence, in their order.

    Those of different groups come to the same in any order.
    """
    of_name: dict[str, list[Call[Any]]] = {}
    sequences: dict[int, list[Call[Any]]] = {}
    for call in calls:
        names = _names(call)
        known = {id(of_name[name]): of_name[name] for name in names if name in of_name}
        sequence, *others = list(known.values()) or [[]]
        for other in others:  # a rename brings two together
            sequence += other
            names += [name for each in other for name in _names(each)]
            del sequences[id(other)]
        sequence.append(call)
        sequences[id(sequence)] = sequence
        of_name.update(dict.fromkeys(names, sequence))
    return list(sequences.values())


def _names(call: Call[Any]) -> list[str]:
    return [each for each in call.arguments[:2] if isinstance(each, str)]


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
