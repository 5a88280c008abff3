"""A connection to an MQTT broker for the length of a block."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from beryl_groups.channels.encryption import ENCRYPTED, other_way, reason_of_tls
from beryl_groups.channels.errors import SendFailed, ended
from beryl_groups.channels.mqtt_answers import PASSING, UNKNOWN_ANSWER, words_of
from beryl_groups.channels.mqtt_client import mqtt as mqtt_callback
from beryl_groups.channels.mqtt_unconfirmed import MOST, Unconfirmed
from beryl_groups.channels.password import user_and_password
from beryl_groups.channels.text import place
from beryl_groups.channels.time_limit import A_MOMENT
from beryl_groups.lines import in_one_line, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

    from paho.mqtt.client import Client, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from beryl_groups.channels.encryption import Encryption

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_LOG_ERROR = 0x08


@contextmanager
def connected(
    url: SplitResult, timeout: float, options: Encryption
) -> Iterator[Callable[[str, str, Any], None]]:
    """Give a callback that sends with QoS 1, and wait at the end until all is confirmed."""
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError(f"An MQTT URL is {url.scheme}://host:port, with nothing after it.")
    context = options.context() if url.scheme == "mqtts" else None
    try:
        from paho.mqtt.client import Client  # noqa: PLC0415 - it comes with the extra
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415
    except ImportError as error:
        raise SendFailed(
            "paho-mqtt, which sends to mqtt:, is not here: pip install 'beryl_groups[mqtt]'."
        ) from error

    def client(protocol: MQTTProtocolVersion) -> Client:
        made = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        made.connect_timeout = timeout + A_MOMENT  # the session is the first to give up
        made.reconnect_delay_set(1, 1)  # it may else wait for longer than the block does
        if context is not None:
            made.tls_set_context(context)
        user, password = user_and_password(url)
        if user is not None:
            made.username_pw_set(user, password)
        return made

    # Only the newer has words for refusals. A broker of the older one alone says so, or hangs up.
    newest, older = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
    clients: list[Callable[[], Client]] = [partial(client, newest), partial(client, older)]
    session = _Session(url, timeout, clients, options.server_name)
    try:
        session.open()
        yield session.send
        session.wait_until_confirmed()
    finally:
        session.close()


class _Session(Unconfirmed):
    """A client, and its messages that the broker has not confirmed.

    A thread begins and ends the connection: nothing else ends a wait for a name server, and to
    send what is left may take for ever, too.
    """

    def __init__(
        self,
        url: SplitResult,
        timeout: float,
        clients: list[Callable[[], Client]],
        server_name: str | None,
    ) -> None:
        self._scheme = url.scheme
        self._host = url.hostname or "localhost"
        self._server_name = server_name or self._host
        self._port = url.port or _PORTS[url.scheme]
        self._clients = clients
        self._timeout = timeout
        self._peer = place(self._host, self._port)
        super().__init__(f"the MQTT broker at {self._peer}", timeout)
        self._publish = mqtt_callback(self, qos=1)
        self._awaited = f"connection to {self._where}"
        self._is_open = False
        self._refusal: tuple[str, Exception | None] | None = None
        self._last_words = ""
        self._logged = ""
        self._answered = threading.Event()
        self._renewed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beryl_groups-mqtt", daemon=True)

    def open(self) -> None:
        self._thread.start()
        with self._changed:
            if not self._changed.wait_within_limit(lambda: self._is_open or self._refusal):
                hint = other_way(self._scheme) * (self._scheme in ENCRYPTED)
                raise SendFailed(f"No {self._awaited} within {self._timeout:g} s{hint}.")
            if not self._is_open and self._refusal is not None:
                sentence, cause = self._refusal
                raise SendFailed(sentence) from cause

    def send(self, topic: str, event: str, payload: Any) -> None:
        with self._changed:
            if not self._changed.wait_within_limit(
                lambda: self._ended.is_set() or self._end or self._count() < self._room
            ):
                raise SendFailed(f"{self._where[0].upper()}{self._where[1:]}: {self._silence()}.")
            if self._ended.is_set():
                raise ended()
            if self._end:
                self._undelivered.add(self._end, topic)
                raise SendFailed(f"{topic!r} gets nothing over {self._where}: {self._end}.")
            self._sending.append(topic)
        try:
            self._publish(topic, event, payload)
        finally:
            with self._changed:
                self._sending.remove(topic)
                self._changed.notify_all()

    def wait_until_confirmed(self) -> None:
        with self._changed:
            self._changed.wait_within_limit(lambda: self._end or not self._count())
            self._undelivered.add(
                self._end or self._silence(),
                *(topic for topic, _ in (*self._unconfirmed.values(), *self._held)),
                *self._sending,
            )
            self._ended.set()  # at once: a call from another thread must not slip in
        self._undelivered.refuse_if_any(f"confirmed by {self._where}")

    def close(self) -> None:
        with self._changed:
            self._ended.set()
            self._answered.set()
            self._renewed.set()
            self._changed.notify_all()
        # A thread that Ctrl-C kept from being started cannot be joined, which must not hide it.
        with suppress(RuntimeError):
            self._thread.join(A_MOMENT)

    def _run(self) -> None:
        while self._clients and not self._ended.is_set():
            make = self._clients.pop(0)
            client = self._client = self._made(make)
            try:
                client.connect(self._host, self._port)
                with self._changed:
                    self._awaited = f"answer in MQTT from {self._peer}"
                client.loop_start()
            except Exception as error:  # noqa: BLE001 - a name that is none is a UnicodeError
                self._refuse(f"No connection to {self._where}: {self._reason(error)}.", error)
                return
            self._answered.wait()
            if self._is_open or self._refusal:
                self._renewed.wait()
            client.disconnect()
            client.loop_stop()
            if self._holds_back:
                self._send_held(partial(self._connected, make))
                return
            self._answered.clear()

    def _made(self, make: Callable[[], Client]) -> Client:
        client = make()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_log = self._on_log
        return client

    def _connected(self, make: Callable[[], Client]) -> Client:
        client = self._made(make)
        client.connect(self._host, self._port)
        return client

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: Any,
        answer: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if not answer.is_failure:
            with self._changed:
                if not self._is_open:  # later on, only what it confirms shows that it gets on
                    self._changed.renew_limit()
                self._largest = getattr(properties, "MaximumPacketSize", None)
                # The client has 20 messages under way at most, however few the broker takes.
                most = getattr(properties, "ReceiveMaximum", MOST)
                self._room = most if most < client.max_inflight_messages else MOST
                self._last_words = ""
                self._is_open = True
                self._answered.set()
                self._changed.notify_all()
        elif self._is_open:
            self._end_or_wait(client, answer, properties)
        elif not (answer == "Unsupported protocol version" and self._clients):
            self._refuse(f"Refused by {self._where}: {words_of(answer, properties)}.")

    def _on_disconnect(
        self,
        client: Client,
        _data: Any,
        flags: DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._is_open:
            # Otherwise the client connects again, and sends again what was not confirmed.
            if flags.is_disconnect_packet_from_server and code.is_failure:
                self._end_or_wait(client, code, properties)
            elif code == "Protocol error":
                self._stop(client, UNKNOWN_ANSWER)
            elif not self._last_words:
                self._last_words = "it has closed the connection"
            if self._clients and not flags.is_disconnect_packet_from_server and not self._is_over():
                self._hold_back()
                client.loop_stop()
                self._renewed.set()
            return
        client.loop_stop()  # it would do so here, too
        if self._scheme in ENCRYPTED and self._logged:
            self._refuse(f"No connection to {self._where}: {self._reason(self._logged)}.")
        elif self._clients:
            self._answered.set()  # the older protocol is next
        else:
            hint = other_way(self._scheme)
            if code == "Protocol error":
                self._refuse(f"{self._peer} answers, but not in MQTT{hint}.")
            else:
                self._refuse(f"{self._peer} closed the connection without an answer in MQTT{hint}.")

    def _end_or_wait(self, client: Client, code: ReasonCode, properties: Properties | None) -> None:
        """Take the broker's last words: for those that time may mend, the client tries again."""
        self._last_words = words_of(code, properties)
        if code.value not in PASSING:
            self._stop(client, f"it has ended the connection ({self._last_words})")

    def _stop(self, client: Client, end: str) -> None:
        with self._changed:
            self._end = self._end or end
            self._changed.notify_all()
        client.loop_stop()

    def _on_log(self, _client: Client, _data: Any, level: int, text: str) -> None:
        if level == _LOG_ERROR:  # nothing else tells why a TLS connection was closed
            self._logged = text

    def _silence(self) -> str:
        words = f" ({self._last_words})" if self._last_words else ""
        return f"it does not confirm{words} within {self._timeout:g} s"

    def _reason(self, said: object) -> str:
        reason = reason_of(said) if isinstance(said, BaseException) else in_one_line(said)
        if self._scheme not in ENCRYPTED:
            return reason
        reason = reason_of_tls(reason, self._server_name) or reason
        return reason + other_way(self._scheme) * ("reset" in reason or "speak TLS" in reason)

    def _refuse(self, sentence: str, cause: Exception | None = None) -> None:
        """Have `open` raise, unless it has been told something before."""
        with self._changed:
            self._refusal = self._refusal or (sentence, cause)
            self._answered.set()
            self._changed.notify_all()
