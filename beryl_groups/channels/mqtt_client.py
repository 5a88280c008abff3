"""MQTT, through a client of paho-mqtt or aiomqtt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from beryl_groups.broadcast import is_async
from beryl_groups.channels.errors import SendFailed
from beryl_groups.channels.text import event_and_payload, unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_AGAIN, _TAKEN, _NOT_CONNECTED, _CONNECTION_LOST = -1, 0, 4, 7

# The wildcards, and the code points for which a receiver may close the connection (MQTT 3.1.1,
# 1.5.3: control characters, surrogates, what Unicode calls noncharacters). Mosquitto does close
# it, which would cost the other topics of a broadcast their message.
_NONCHARACTERS = "".join(map(chr, range(0xFFFE, 0x110000, 0x10000)))
_NONCHARACTERS += "".join(map(chr, range(0xFFFF, 0x110000, 0x10000)))
_REFUSED = re.compile(f"[+#\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")


class MqttClient(Protocol):
    """What is used of a ``paho.mqtt.client.Client``."""

    def publish(self, topic: str, payload: str | bytes, qos: int, retain: bool) -> Any: ...


class AsyncMqttClient(Protocol):
    """What is used of an ``aiomqtt.Client``."""

    async def publish(self, topic: str, payload: str | bytes, qos: int, retain: bool) -> None: ...


@overload
def mqtt(
    client: AsyncMqttClient,
    *,
    qos: Literal[0, 1, 2] = ...,
    retain: bool = ...,
    topic: Callable[[str, str], str] = ...,
    body: Callable[[str, Any], str | bytes] = ...,
) -> Callable[[str, str, Any], Coroutine[Any, Any, None]]: ...
@overload
def mqtt(
    client: MqttClient,
    *,
    qos: Literal[0, 1, 2] = ...,
    retain: bool = ...,
    topic: Callable[[str, str], str] = ...,
    body: Callable[[str, Any], str | bytes] = ...,
) -> Callable[[str, str, Any], None]: ...
def mqtt(
    client: Any,
    *,
    qos: Literal[0, 1, 2] = 0,
    retain: bool = False,
    topic: Callable[[str, str], str] = unchanged,
    body: Callable[[str, Any], str | bytes] = event_and_payload,
) -> Callable[[str, str, Any], object]:
    """Return a callback that publishes to the topic, through a client of paho-mqtt or aiomqtt.

    The body is the JSON text ``{"event": …, "payload": …}``. Who wants another gives
    ``body(event, payload)``, and ``topic(topic, event)`` for another topic. Where a client of
    paho-mqtt is not connected, a message of QoS 0 is lost and raises `SendFailed`; one of QoS 1
    or 2 waits in the client until it is. A topic that MQTT cannot carry raises ``ValueError``.

    With a client of aiomqtt the callback is async. It returns when the broker has confirmed a
    message of QoS 1 or 2, and where the client is not connected it raises what that raises.
    """
    if qos not in {0, 1, 2}:
        raise ValueError(f"qos is 0, 1 or 2, not {qos!r}.")
    to = topic
    kept = {_TAKEN, _AGAIN} if qos == 0 else {_TAKEN, _AGAIN, _NOT_CONNECTED, _CONNECTION_LOST}

    def message(topic: str, event: str, payload: Any) -> tuple[str, str | bytes]:
        name = to(topic, event)
        if not name:
            raise ValueError("MQTT has no empty topic.")
        if refused := _REFUSED.search(name):
            raise ValueError(f"MQTT cannot publish to the topic {name!r}: it holds {refused[0]!r}.")
        return name, body(event, payload)

    def send(topic: str, event: str, payload: Any) -> None:
        name, text = message(topic, event, payload)
        code = client.publish(name, text, qos, retain).rc
        if code == _NOT_CONNECTED and code not in kept:
            raise SendFailed(f"The MQTT client is not connected: {name!r} gets nothing.")
        if code not in kept:
            reason = getattr(code, "name", code)
            raise SendFailed(f"The MQTT client did not take the message to {name!r}: {reason}.")

    async def send_async(topic: str, event: str, payload: Any) -> None:
        await client.publish(*message(topic, event, payload), qos, retain)

    return send_async if is_async(client.publish) else send
