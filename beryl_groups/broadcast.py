"""Delivery: one call of the application's callback for each topic."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger("beryl_groups")


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
            logger.exception(
                "Broadcast of the event %r of the group %s to the topic %r failed.",
                event,
                repr(group) if isinstance(group, str) else ", ".join(map(repr, group)),
                topic,
            )
