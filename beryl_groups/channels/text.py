"""Events as JSON text, one form for each protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_TOPICS = 3
"""Topics that a sentence names; of the others it gives the number."""


def event_and_payload(event: str, payload: object) -> str:
    """Return the body that a topic gets where the caller gives no other."""
    return as_json({"event": event, "payload": payload})


def as_json(value: object) -> str:
    """Return JSON text that every reader of JSON takes.

    Raises ``TypeError``, ``ValueError`` or ``RecursionError`` for what JSON cannot carry, NaN and
    unpaired surrogates among it.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()  # before a client has taken half of it
    except UnicodeEncodeError as error:
        found = text[error.start]
        raise ValueError(
            f"The event or the payload holds {found!r}, an unpaired surrogate, which UTF-8 "
            "cannot carry."
        ) from error
    return text


def unchanged(topic: str, event: str) -> str:  # noqa: ARG001 - as the caller's own takes it
    """Return the topic to send to where the caller gives no other."""
    return topic


def place(host: str, port: int) -> str:
    """Return a host and its port as a URL has them.

    >>> place("localhost", 1883), place("::1", 1883)
    ('localhost:1883', '[::1]:1883')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def some(topics: Iterable[str]) -> str:
    """Return the first topics, each once, and how many others there are.

    >>> some(["room/a", "room/b", "room/c", "room/d", "room/e", "room/a"])
    "'room/a', 'room/b', 'room/c' and 2 more"
    """
    names = [*map(repr, dict.fromkeys(topics))]
    if len(names) > _MOST_TOPICS:
        names[_MOST_TOPICS:] = [f"{len(names) - _MOST_TOPICS} more"]
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
