"""A connection to an MQTT broker for the length of a block."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from beryl_groups.channels.errors import SendFailed
from beryl_groups.channels.mqtt_client import mqtt as mqtt_callback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

    from paho.mqtt.client import Client

_MOST_UNCONFIRMED = 1000
"""Messages that may wait for the broker's word; the client has numbers for 65,535."""


@contextmanager
def connected(url: SplitResult, timeout: float) -> Iterator[Callable[[str, str, Any], None]]:
    """Give a callback that sends with QoS 1, and wait at the end until all is confirmed."""
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError("An MQTT URL is mqtt://host:port, with nothing after it.")
    host, port = url.hostname or "localhost", url.port or 1883
    try:
        from paho.mqtt.client import Client  # noqa: PLC0415 - it comes with the extra
        from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415
    except ImportError as error:
        raise SendFailed(
            "paho-mqtt, which sends to mqtt:, is not here: pip install 'beryl_groups[mqtt]'."
        ) from error
    client = Client(CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(1, 1)  # it may else wait for longer than the block does
    if url.username is not None:
        client.username_pw_set(unquote(url.username), unquote(url.password or ""))
    session = _Session(client, host, port, timeout)
    try:
        session.open()
        yield session.send
        session.wait_until_confirmed()
    finally:
        session.close()


class _Session:
    """A client, and how many of its messages the broker has not confirmed yet."""

    def __init__(self, client: Client, host: str, port: int, timeout: float) -> None:
        self._client = client
        self._host, self._port = host, port
        self._timeout = timeout
        self._where = f"the MQTT broker at {host}:{port}"
        self._publish = mqtt_callback(client, qos=1)
        self._changed = threading.Condition()
        self._answer: Any = None
        self._unconfirmed = 0
        self._last_progress = 0.0
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish

    def open(self) -> None:
        self._client.connect_timeout = self._timeout
        try:
            self._client.connect(self._host, self._port)
        except OSError as error:
            raise SendFailed(f"No connection to {self._where}: {error}.") from error
        self._client.loop_start()
        with self._changed:
            if not self._changed.wait_for(lambda: self._answer is not None, self._timeout):
                raise SendFailed(f"No answer from {self._where} within {self._timeout:g} s.")
        if self._answer.is_failure:
            raise SendFailed(f"Refused by {self._where}: {self._answer}.")

    def send(self, topic: str, event: str, payload: Any) -> None:
        with self._changed:
            if self._unconfirmed == 0:
                self._last_progress = time.monotonic()
            # Counted from the last progress: once the broker is gone, all that follow fail fast.
            left = self._last_progress + self._timeout - time.monotonic()
            if not self._changed.wait_for(lambda: self._unconfirmed < _MOST_UNCONFIRMED, left):
                raise self._unanswered()
            self._unconfirmed += 1
        try:
            self._publish(topic, event, payload)
        except BaseException:
            self._confirm()
            raise

    def wait_until_confirmed(self) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._unconfirmed == 0, self._timeout):
                raise self._unanswered()

    def close(self) -> None:
        self._client.disconnect()
        # A thread that Ctrl-C kept from being started cannot be joined, which must not hide it.
        with suppress(RuntimeError):
            self._client.loop_stop()

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, answer: Any, _: Any) -> None:
        with self._changed:
            self._answer = answer
            self._changed.notify_all()

    def _on_publish(self, *_: Any) -> None:
        with self._changed:
            self._last_progress = time.monotonic()
        self._confirm()

    def _confirm(self) -> None:
        with self._changed:
            self._unconfirmed -= 1
            self._changed.notify_all()

    def _unanswered(self) -> SendFailed:
        return SendFailed(
            f"{self._unconfirmed} messages were not confirmed by {self._where} "
            f"within {self._timeout:g} s."
        )
