"""What a broker that speaks MQTT 5 says, and how much it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beryl_groups.lines import in_one_line

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

PASSING = {136, 137, 139, 141, 159, 160}
"""Unavailable, busy, shutting down, too long silent, too many connects, connected for too long."""

# Mosquitto answers so to a message that is larger than its message_size_limit.
UNKNOWN_ANSWER = (
    "its answer is none that MQTT has, as that of some brokers to a message that is too large"
)


def words_of(code: ReasonCode, properties: Properties | None) -> str:
    """Return the broker's reason, with what it adds in words of its own."""
    added = getattr(properties, "ReasonString", "")
    return in_one_line(f"{code}: {added}" if added else code)


def size_of(topic: str, payload: str | bytes) -> int:
    """Return the bytes of a packet that publishes with QoS 1, as MQTT 5 counts them."""
    body = payload.encode() if isinstance(payload, str) else payload
    rest = 2 + len(topic.encode()) + 2 + 1 + len(body)
    return 1 + sum(rest >= limit for limit in (0, 1 << 7, 1 << 14, 1 << 21)) + rest
