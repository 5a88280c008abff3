"""A connection to an MQTT broker for the length of a block."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from beryl_groups.channels.errors import SendFailed, ended
from beryl_groups.channels.mqtt_client import mqtt as mqtt_callback
from beryl_groups.channels.time_limit import A_MOMENT, LimitedCondition
from beryl_groups.lines import reason_of

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
    client.connect_timeout = timeout + A_MOMENT  # the session is the first to give up
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
    """A client, and how many of its messages the broker has not confirmed yet.

    A thread begins and ends the connection: nothing else ends a wait for a name server, and to
    send what is left may take for ever, too.
    """

    def __init__(self, client: Client, host: str, port: int, timeout: float) -> None:
        self._client = client
        self._host, self._port = host, port
        self._timeout = timeout
        self._peer = f"{host}:{port}"
        self._where = f"the MQTT broker at {self._peer}"
        self._publish = mqtt_callback(client, qos=1)
        self._changed = LimitedCondition(timeout)
        self._awaited = f"connection to {self._where}"
        self._is_open = False
        self._refusal: tuple[str, Exception | None] | None = None
        self._unconfirmed = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beryl_groups-mqtt", daemon=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish

    def open(self) -> None:
        self._thread.start()
        with self._changed:
            if not self._changed.wait_within_limit(lambda: self._is_open or self._refusal):
                raise SendFailed(f"No {self._awaited} within {self._timeout:g} s.")
            if not self._is_open and self._refusal is not None:
                sentence, cause = self._refusal
                raise SendFailed(sentence) from cause

    def send(self, topic: str, event: str, payload: Any) -> None:
        with self._changed:
            if not self._changed.wait_within_limit(
                lambda: self._ended.is_set() or self._unconfirmed < _MOST_UNCONFIRMED
            ):
                raise self._unanswered()
            if self._ended.is_set():
                raise ended()
            self._unconfirmed += 1
        try:
            self._publish(topic, event, payload)
        except Exception:  # after Ctrl-C the client may have the message, and it be confirmed
            self._confirm()
            raise

    def wait_until_confirmed(self) -> None:
        with self._changed:
            if not self._changed.wait_within_limit(lambda: self._unconfirmed == 0):
                raise self._unanswered()
            self._ended.set()  # at once: a call from another thread must not slip in

    def close(self) -> None:
        with self._changed:
            self._ended.set()
            self._changed.notify_all()
        # A thread that Ctrl-C kept from being started cannot be joined, which must not hide it.
        with suppress(RuntimeError):
            self._thread.join(A_MOMENT)

    def _run(self) -> None:
        try:
            self._client.connect(self._host, self._port)
            with self._changed:
                self._awaited = f"answer in MQTT from {self._peer}"
            self._client.loop_start()
        except Exception as error:  # noqa: BLE001 - a name that is none is a UnicodeError
            self._refuse(f"No connection to {self._where}: {reason_of(error)}.", error)
            return
        self._ended.wait()
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, answer: Any, _: Any) -> None:
        if answer.is_failure:
            self._refuse(f"Refused by {self._where}: {answer}.")
        else:
            with self._changed:
                if not self._is_open:  # later on, only what it confirms shows that it gets on
                    self._changed.renew_limit()
                self._is_open = True
                self._changed.notify_all()

    def _on_disconnect(self, client: Client, _data: Any, _flags: Any, code: Any, _: Any) -> None:
        if self._is_open:
            return  # the client connects again, and sends again what was not confirmed
        client.loop_stop()  # it would do so here, too
        if code == "Protocol error":
            self._refuse(f"{self._peer} answers, but not in MQTT.")
        else:
            self._refuse(f"{self._peer} closed the connection without an answer in MQTT.")

    def _on_publish(self, *_: Any) -> None:
        with self._changed:
            self._changed.renew_limit()
            self._confirm()

    def _refuse(self, sentence: str, cause: Exception | None = None) -> None:
        """Have `open` raise, unless it has been told something before."""
        with self._changed:
            self._refusal = self._refusal or (sentence, cause)
            self._changed.notify_all()

    def _confirm(self) -> None:
        with self._changed:
            self._unconfirmed -= 1
            self._changed.notify_all()

    def _unanswered(self) -> SendFailed:
        return SendFailed(
            f"{self._unconfirmed} messages were not confirmed by {self._where} "
            f"within {self._timeout:g} s."
        )
