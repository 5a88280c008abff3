"""Delivery: one call of the application's callback for each topic."""

from __future__ import annotations

import logging
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from beryl_groups import operations
from beryl_groups.names import check_name, check_names, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger("beryl_groups")


def check_callback(channels: object) -> None:
    if not callable(channels):
        raise TypeError(f"channels is a callable (topic, event, payload), not {shown(channels)}.")


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
    topics: Iterable[str],
    event: str,
    payload: object,
) -> None:
    """Call ``channels(topic, event, payload)`` for each topic; what fails is logged.

    A callback that raises an ``Exception`` keeps the event from nobody else. What is no
    ``Exception``, such as ``KeyboardInterrupt``, ends the broadcast and reaches the caller.
    """
    for topic in topics:
        try:
            channels(topic, event, payload)
        except Exception:
            logger.exception(_FAILED, event, _shown(group), topic)


async def deliver_async(
    channels: Callable[[str, str, Any], object],
    group: str | tuple[str, ...],
    topics: Iterable[str],
    event: str,
    payload: object,
) -> None:
    """Do what `deliver` does, and await what the callback returns if that can be awaited."""
    for topic in topics:
        try:
            returned = channels(topic, event, payload)
            if isawaitable(returned):
                await returned
        except Exception:
            logger.exception(_FAILED, event, _shown(group), topic)


_FAILED = "Broadcast of the event %r of the group %s to the topic %r failed."


def _shown(group: str | tuple[str, ...]) -> str:
    return repr(group) if isinstance(group, str) else ", ".join(map(repr, group))
