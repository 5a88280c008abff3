"""``connect``: what a broker refuses, for one message or for all, is told with its reason."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest

from beryl_groups.channels import SendFailed, connect
from tests.channels.servers import HOST, LIBRARIES, MqttSubscriber, mosquitto, peer, redis_server
from tests.processes import PATIENCE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from pathlib import Path

TOPICS = ["ok/1", "no/1", "no/2", "ok/2"]


def use(url: str, *topics: str, payload: object = None, timeout: float = PATIENCE) -> str:
    """Send to each topic, and return the sentence with which the block fails, as it has to."""

    def attempt() -> None:
        with connect(url, timeout=timeout) as channels:
            for topic in topics:
                try:
                    channels(topic, "e", payload)
                except SendFailed:
                    continue  # as a broadcast goes on

    with pytest.raises(SendFailed) as failed:
        attempt()
    return str(failed.value)


@pytest.fixture
def acl(tmp_path: Path) -> str:
    """A setting of Mosquitto with which all may use the topics below ``ok``, and no others."""
    file = tmp_path / "acl"
    file.write_text("topic readwrite ok/#\ntopic readwrite end\n")
    file.chmod(0o600)
    return f"acl_file {file}"


def test_what_an_acl_of_mosquitto_denies_is_told(acl: str) -> None:
    """The denied topics are named, and the others get their event."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    with mosquitto(None, acl) as server, MqttSubscriber(server.port, "ok/+") as subscriber:
        sentence = use(f"mqtt://{HOST}:{server.port}", *TOPICS)
        subscriber.client.publish("end", qos=2)
        # Some versions close the connection after a denial: what was on its way comes twice.
        assert {topic for topic, _ in subscriber.until_end()} == {"ok/1", "ok/2"}
    assert sentence == (
        f"2 messages were not confirmed by the MQTT broker at {HOST}:{server.port} "
        "(to 'no/1' and 'no/2'): it refuses them (Not authorized)."
    )


@pytest.mark.parametrize(
    ("number", "denied"),
    [(60, range(1, 60, 2)), (2000, [1000]), (400, range(400)), (1000, range(0, 1000, 2))],
)
def test_many_that_an_acl_of_mosquitto_denies_are_all_told(
    acl: str, number: int, denied: Iterable[int]
) -> None:
    """Each denied topic is among them, and each other gets its event, whatever the broker closes.

    Mosquitto 2.0.11 closes the connection after each denial.
    """
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    refused = {f"no/{i}" for i in denied}
    topics = [f"no/{i}" if f"no/{i}" in refused else f"ok/{i}" for i in range(number)]
    with mosquitto(None, acl) as server, MqttSubscriber(server.port, "ok/+") as subscriber:
        sentence = use(f"mqtt://{HOST}:{server.port}", *topics)
        subscriber.client.publish("end", qos=2)
        got = {topic for topic, _ in subscriber.until_end()}
    assert got == set(topics) - refused
    assert re.match(rf"{len(refused)} (message was|messages were) not confirmed", sentence)
    assert "'ok/" not in sentence
    assert sentence.endswith("it refuses them (Not authorized).")


@pytest.mark.parametrize(
    ("setting", "topic", "payload", "reason"),
    [
        ("max_packet_size 100", "ok/1", "x" * 100, "takes 100 bytes at most."),
        ("message_size_limit 100", "ok/1", "x" * 100, "to a message that is too large."),
        ("max_qos 0", "ok/1", None, "it has ended the connection (QoS not supported)."),
        ("log_type none", "a" + "/a" * 300, None, "it has ended the connection (Protocol error)."),
    ],
)
def test_what_mosquitto_refuses_is_told_at_once(
    setting: str, topic: str, payload: object, reason: str
) -> None:
    """Too large, of a QoS that it lacks, to a topic of too many levels: each with its topic."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    with mosquitto(None, setting) as server:
        sentence = use(f"mqtt://{HOST}:{server.port}", topic, payload=payload)
    assert repr(topic) in sentence
    assert sentence.endswith(reason)


def test_a_message_of_the_largest_size_arrives() -> None:
    """What the broker takes is counted to the byte, and one byte more is refused."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    overhead = len('{"event": "e", "payload": ""}') + 2 + len("ok/1") + 2 + 1 + 1 + 2
    with mosquitto(None, "max_packet_size 300") as server:
        url = f"mqtt://{HOST}:{server.port}"
        with connect(url) as channels:
            channels("ok/1", "e", "x" * (300 - overhead))
        assert "is too large" in use(url, "ok/1", payload="x" * (301 - overhead))


@pytest.mark.slow
def test_a_mosquitto_that_goes_down_is_told() -> None:
    """Where it does not come back within the time, the topics are named, and that it is gone."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    with (  # noqa: PT012
        mosquitto() as server,
        pytest.raises(SendFailed, match=r"\(to 'ok/1'\): .* \(.+\) within 2 s\.$"),
        connect(f"mqtt://{HOST}:{server.port}", timeout=2) as channels,
    ):
        server.ask_to_end()
        channels("ok/1", "e", None)


def mqtt_that_says(*answers: bytes) -> Callable[[socket.socket], None]:
    """Be a broker of MQTT 5 that takes a client, and answers its first message so."""

    def serve(connection: socket.socket) -> None:
        for answer in (b"\x20\x03\0\0\0", *answers):
            connection.recv(4096)
            connection.sendall(answer)
        while connection.recv(4096):
            pass

    return serve


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0x80, "Unspecified error"),
        (0x87, "Not authorized"),
        (0x90, "Topic name invalid"),
        (0x97, "Quota exceeded"),
        (0x99, "Payload format invalid"),
    ],
)
def test_a_message_that_is_refused_is_told_with_the_reason(code: int, reason: str) -> None:
    """Every code with which MQTT 5 refuses a message, and what the broker adds in its own words."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    words = b"\x1f\0\x07ask \x07me"
    for added, told in ((b"", reason), (bytes([len(words)]) + words, rf"{reason}: ask \x07me")):
        packet = b"\0\x01" + bytes([code]) + (added or b"\0")
        with peer(mqtt_that_says(b"\x40" + bytes([len(packet)]) + packet)) as port:
            sentence = use(f"mqtt://{HOST}:{port}", "room/a")
        assert sentence.endswith(f"{HOST}:{port} (to 'room/a'): it refuses them ({told}).")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0x87, "Not authorized"),
        (0x8E, "Session taken over"),
        (0x90, "Topic name invalid"),
        (0x95, "Packet too large"),
        (0x97, "Quota exceeded"),
        (0x98, "Administrative action"),
    ],
)
def test_a_broker_that_ends_the_connection_is_believed(code: int, reason: str) -> None:
    """What it says ends the wait at once; the topics without a confirmation are named."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    with peer(mqtt_that_says(bytes([0xE0, 1, code]))) as port:
        sentence = use(f"mqtt://{HOST}:{port}", "room/a", "room/b")
    assert "'room/a'" in sentence
    assert sentence.endswith(f"it has ended the connection ({reason}).")


def test_a_broker_that_shuts_down_is_waited_for_and_then_told() -> None:
    """It may be back within the time; where it is not, the reason is what it said."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    with peer(mqtt_that_says(b"\xe0\x01\x8b")) as port:
        sentence = use(f"mqtt://{HOST}:{port}", "room/a", timeout=0.5)
    assert sentence.endswith(
        "(to 'room/a'): it does not confirm (Server shutting down) within 0.5 s."
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0x86, "Bad user name or password"), (0x88, "Server unavailable"), (0x8A, "Banned")],
)
def test_a_client_that_is_refused_is_told_the_reason(code: int, reason: str) -> None:
    """Nothing is sent, and the older protocol is not tried."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")

    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(bytes([0x20, 3, 0, code, 0]))

    with peer(refuse) as port:
        sentence = use(f"mqtt://{HOST}:{port}")
    assert sentence == f"Refused by the MQTT broker at {HOST}:{port}: {reason}."


@pytest.mark.parametrize("answer", [b"\x20\x02\0\x01", b"\x20\x03\0\x84\0", b""])
def test_a_broker_of_the_older_protocol_is_spoken_to_in_it(answer: bytes) -> None:
    """It may refuse the version or close the connection; then it gets MQTT 3.1.1."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    versions: list[int] = []
    confirmed = threading.Event()

    def be_old(connection: socket.socket) -> None:
        versions.append(connection.recv(4096)[8])
        if versions[-1] != 4:
            connection.sendall(answer)
            return
        connection.sendall(b"\x20\x02\0\0")
        connection.recv(4096)
        confirmed.set()
        connection.sendall(b"\x40\x02\0\x01")
        while connection.recv(4096):
            pass

    with peer(be_old) as port, connect(f"mqtt://{HOST}:{port}") as channels:
        channels("room/a", "e", None)
    assert versions == [5, 4]
    assert confirmed.is_set()


def test_what_an_acl_of_redis_denies_is_told() -> None:
    """The denied topics are named, and the others get their event."""
    redis = pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")
    with redis_server() as server, redis.Redis(HOST, server.port) as client:
        client.acl_setuser(
            "ada", enabled=True, passwords=["+secret"], commands=["+@all"], channels=["ok/*"]
        )
        sentence = use(f"redis://ada:secret@{HOST}:{server.port}/0", *TOPICS)
    start = f"2 messages were not taken by Redis at {HOST}:{server.port} (to 'no/1' and 'no/2'): "
    assert sentence.startswith(start)
    assert "permissions" in sentence
    assert "secret" not in sentence


def test_a_connection_that_redis_kills_is_made_anew() -> None:
    """What is sent after that arrives: nothing is lost, and so nothing is told."""
    redis = pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")
    with (
        redis_server() as server,
        redis.Redis(HOST, server.port) as client,
        client.pubsub() as subscription,
    ):
        with connect(f"redis://{HOST}:{server.port}") as channels:
            client.client_kill_filter(_type="normal", skipme=True)
            subscription.subscribe("room/a")
            assert subscription.get_message(timeout=PATIENCE)["type"] == "subscribe"
            channels("room/a", "e", None)
        assert subscription.get_message(timeout=PATIENCE)["type"] == "message"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.", "command not allowed when"),
        (b"-READONLY it is a replica.", "it is a replica"),
        (b"", "Connection closed by server"),
    ],
)
def test_what_redis_answers_instead_of_taking_a_message_is_told(answer: bytes, reason: str) -> None:
    """The topic is named, with the reason that Redis gives, or that it closed the connection."""
    pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")

    def serve(connection: socket.socket) -> None:
        while words := connection.recv(4096):
            if b"HELLO" in words:
                connection.sendall(b"%1\r\n+proto\r\n:3\r\n")
                words = words.replace(b"HELLO", b"", 1)
            for _ in range(words.count(b"CLIENT")):
                connection.sendall(b"+OK\r\n")
            if b"PING" in words:
                connection.sendall(b"+PONG\r\n")
            if b"PUBLISH" in words and not answer:
                return
            if b"PUBLISH" in words:
                connection.sendall(answer + b"\r\n")

    with peer(serve) as port:
        sentence = use(f"redis://{HOST}:{port}", "room/a")
    assert sentence.startswith("1 message was not taken")
    assert "(to 'room/a'): " in sentence
    assert reason in sentence


def test_too_many_clients_of_redis_are_told() -> None:
    """Redis says so to the one that comes too late."""
    redis = pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")
    with redis_server(None, "--maxclients", "1") as server:
        port = server.port
        with redis.Redis(HOST, port) as client:
            client.ping()
            assert "max number of clients reached" in use(f"redis://{HOST}:{port}").lower()


def test_a_redis_that_wants_a_password_says_so() -> None:
    """The reason is that of the server, and speaks of nothing that the user has not done."""
    pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")
    with redis_server("secret") as server:
        sentence = use(f"redis://{HOST}:{server.port}", "a")
    assert sentence == f"Redis at {HOST}:{server.port} cannot be used: Authentication required."


def test_a_user_of_redis_who_may_publish_alone_can_send() -> None:
    """What it takes to see that Redis is there is not asked of its rights."""
    pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")
    rights = ("--user", "ada", "on", ">secret", "allchannels", "-@all", "+publish")
    with (
        redis_server(None, *rights) as server,
        connect(f"redis://ada:secret@{HOST}:{server.port}", timeout=PATIENCE) as channels,
    ):
        channels("room/a", "e", None)


def test_a_redis_that_knows_no_hello_is_sent_to() -> None:
    """Servers before version 6, and some that speak as Redis does, have no such command."""
    pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")
    published: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        while header := lines.readline():
            words = []
            for _ in range(int(header[1:])):
                size = int(lines.readline()[1:])
                words.append(lines.read(size + 2)[:-2])
            if words[0] == b"PUBLISH":
                published.append(words[1])
                connection.sendall(b":1\r\n")
            elif words[0] == b"PING":
                connection.sendall(b"+PONG\r\n")
            else:
                connection.sendall(b"-ERR unknown command\r\n")

    with peer(serve) as port, connect(f"redis://{HOST}:{port}", timeout=PATIENCE) as channels:
        channels("room/a", "e", None)
    assert published == [b"room/a"]
