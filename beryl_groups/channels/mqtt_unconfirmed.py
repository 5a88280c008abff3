"""Messages that a broker has not confirmed, and sending them again where it closes connections."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from beryl_groups.channels.errors import SendFailed, Undelivered
from beryl_groups.channels.mqtt_answers import size_of, words_of
from beryl_groups.channels.time_limit import LimitedCondition

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client, MQTTMessageInfo
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

MOST = 1000
"""Messages that may wait for the broker's word; the client has numbers for 65,535."""

_MOST_AT_ONCE = 20
_BEFORE_MORE_AT_ONCE = 10
_POLL = 0.05
_PAUSE = 1.0


class Unconfirmed:
    """The messages of a session, by their number, and those that are held back.

    Some brokers close the connection after each message that they deny, and with others on their
    way their word of it is lost. So after such an end few are on their way at a time, at first
    one, whose denial is known to be its own.
    """

    _client: Client

    def __init__(self, where: str, timeout: float) -> None:
        self._where = where
        self._changed = LimitedCondition(timeout)
        self._room = MOST
        self._end = ""
        self._ended = threading.Event()
        self._unconfirmed: dict[int, tuple[str, str | bytes]] = {}
        self._held: deque[tuple[str, str | bytes]] = deque()
        self._holds_back = False
        self._in_a_row = 0
        self._count_answers = 0
        self._largest: int | None = None
        self._sending: list[str] = []
        self._early: dict[int, str] = {}
        self._undelivered = Undelivered()

    def publish(self, topic: str, payload: str | bytes, qos: int, retain: bool) -> MQTTMessageInfo:
        """Publish as the client does, and keep the topic until the broker has answered."""
        if self._largest is not None and size_of(topic, payload) > self._largest:
            raise SendFailed(
                f"The message to {topic!r} is too large: {self._where} takes "
                f"{self._largest} bytes at most."
            )
        if self._holds_back and self._keep_if_held_back(topic, payload):
            from paho.mqtt.client import MQTTMessageInfo  # noqa: PLC0415 - it comes with the extra

            return MQTTMessageInfo(0)
        message = self._client.publish(topic, payload, qos, retain)
        with self._changed:
            if message.mid in self._early:
                self._undelivered.add(self._early.pop(message.mid), topic)
            elif not (self._holds_back and self._keep_if_held_back(topic, payload)):
                self._unconfirmed[message.mid] = topic, payload
        return message

    def _keep_if_held_back(self, topic: str, payload: str | bytes) -> bool:
        with self._changed:
            if self._holds_back:
                self._held.append((topic, payload))
                self._changed.notify_all()
            return self._holds_back

    def _on_publish(
        self,
        _client: Client,
        _data: Any,
        number: int,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        refusal = f"it refuses them ({words_of(code, properties)})" if code.is_failure else ""
        with self._changed:
            self._changed.renew_limit()
            self._count_answers += 1
            self._in_a_row += 1
            if number in self._unconfirmed:
                self._undelivered.add(refusal, self._unconfirmed.pop(number)[0])
                self._changed.notify_all()
            else:
                self._early[number] = refusal  # before `publish` has returned

    def _count(self) -> int:
        return len(self._unconfirmed) + len(self._held) + len(self._sending)

    def _hold_back(self) -> None:
        """Take back what was on its way over a connection that is closed."""
        with self._changed:
            self._holds_back = True
            self._in_a_row = 0
            self._held.extendleft(reversed(self._unconfirmed.values()))
            self._unconfirmed.clear()

    def _is_over(self) -> bool:
        return self._ended.is_set() or bool(self._end)

    def _send_held(self, connected: Callable[[], Client]) -> None:
        """Send what is held back over as many connections as it takes, until the session ends."""
        while not self._is_over():
            with self._changed:
                self._changed.wait_for(lambda: self._held or self._is_over())
            if self._is_over():
                return
            before = self._count_answers
            with suppress(OSError):  # it is away, and may come back
                client = connected()
                while not self._is_over() and client.loop(_POLL) == 0:
                    if client.is_connected():
                        self._send_some(client)
                if self._is_over():
                    client.disconnect()
                    return
            self._hold_back()
            if self._count_answers == before:
                with self._changed:
                    self._held.rotate(-1)  # the others are not to wait for this one
                self._ended.wait(_PAUSE)

    def _send_some(self, client: Client) -> None:
        with self._changed:
            most = min(1 + self._in_a_row // _BEFORE_MORE_AT_ONCE, _MOST_AT_ONCE, self._room)
            while self._held and len(self._unconfirmed) < most:
                topic, payload = self._held.popleft()
                number = client.publish(topic, payload, qos=1).mid
                self._unconfirmed[number] = topic, payload
