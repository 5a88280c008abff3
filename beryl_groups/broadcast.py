"""Delivery: one call of the application's callback for each topic."""

from __future__ import annotations

from functools import partial
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, Any

from beryl_groups import operations
from beryl_groups.failures import Failures
from beryl_groups.names import check_name, check_names, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_REMEDY = (
    "wrap the callback with beryl_groups.channels.from_async, or use a handle of beryl_groups.aio."
)


def check_callback(channels: object) -> None:
    if not callable(channels):
        raise TypeError(f"channels is a callable (topic, event, payload), not {shown(channels)}.")


def refuse_async(channels: object) -> None:
    """Raise where a callback is async, which only an async handle awaits."""
    if is_async(channels):
        raise TypeError(f"{shown(channels)} is async, and nobody awaits it here: " + _REMEDY)


def is_async(function: object) -> bool:
    """Tell whether a call gives what has to be awaited, as far as can be told before."""
    while isinstance(function, partial):
        function = function.func
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)


class Audience:
    """Whom a broadcast goes to: the topics that ``operation(connection, *names)`` reads."""

    def __init__(self, group: str | Iterable[str], exclude: Iterable[str]) -> None:
        self._excluded = set(check_names(exclude))
        self.group: str | tuple[str, ...]
        self.operation: Callable[..., tuple[str, ...]]
        if isinstance(group, str):
            self.group = check_name(group)
            self.operation = operations.ordered_topics
            self.names: tuple[str, ...] = (self.group,)
        else:
            self.group = self.names = tuple(check_names(group))
            self.operation = operations.ordered_union

    def without_excluded(self, topics: tuple[str, ...]) -> tuple[str, ...]:
        if not self._excluded:
            return topics
        return tuple([topic for topic in topics if topic not in self._excluded])


def deliver(
    channels: Callable[[str, str, Any], object],
    group: str | tuple[str, ...],
    topics: tuple[str, ...],
    event: str,
    payload: object,
) -> None:
    """Call ``channels(topic, event, payload)`` for each topic; what fails is logged.

    A callback that raises an ``Exception`` keeps the event from nobody else. What is no
    ``Exception``, such as ``KeyboardInterrupt``, ends the broadcast and reaches the caller.
    """
    left = iter(topics)
    failures: Failures | None = None  # as in most calls
    try:
        while True:
            try:  # not in the loop, where it would cost each topic something
                for topic in left:
                    returned = channels(topic, event, payload)
                    if returned is not None:
                        refuse_awaitable(returned)
                return
            except Exception as error:  # noqa: BLE001 - it is logged
                failures = failures or Failures(group, event, topics)
                failures.note(error, topic, left)
    finally:
        if failures is not None:
            failures.log()


def refuse_awaitable(returned: object) -> None:
    """Raise where a callback has left its work to somebody who awaits what it returned.

    A future is being worked on by others.
    """
    if isawaitable(returned) and not hasattr(returned, "add_done_callback"):
        if iscoroutine(returned):
            returned.close()
        raise TypeError(
            f"The callback returned a {type(returned).__name__}, which nobody awaits here: "
            + _REMEDY
        )
