"""Events as JSON text, one form for each protocol."""

from __future__ import annotations

import json


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
