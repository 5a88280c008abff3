"""What a broker can do to keep those waiting who send to it, and when they have waited enough."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from beryl_groups.channels import SendFailed, connect
from beryl_groups.channels.time_limit import LimitedCondition
from tests.channels.servers import HOST, LIBRARIES, peer
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

MAYBE_ENCRYPTED = " (where it is encrypted, the URL begins with mqtts://)"
CONNECTED = b"\x20\x02\0\0"
"""The answer of an MQTT broker that takes a client."""


def use(url: str, timeout: float, send: Callable[[Callable[..., None]], None]) -> str:
    """Connect, send, and return the sentence with which that fails, which it has to."""

    def attempt() -> None:
        with connect(url, timeout=timeout) as channels:
            send(channels)

    with pytest.raises(SendFailed) as failed:
        in_thread(attempt).result(PATIENCE)
    return str(failed.value)


def never(_channels: Callable[..., None]) -> None:
    pytest.fail("the block was entered")


def dribble(connection: socket.socket) -> None:
    """Begin an answer, and never come to its end."""
    connection.sendall(b"+")
    while True:
        connection.sendall(b"\x80")
        time.sleep(0.05)


def test_an_answer_that_never_ends_is_not_waited_for(scheme: str) -> None:
    """Bytes that come one by one do not begin the time anew."""
    with peer(dribble) as port:
        sentence = use(f"{scheme}://{HOST}:{port}", 0.5, never)
    assert f"{HOST}:{port}" in sentence


@pytest.mark.slow
def test_a_broker_that_gets_on_is_waited_for_and_one_that_stops_is_not() -> None:
    """Each confirmation begins the time anew; after the last, the messages are given up."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    confirmed = threading.Event()

    def confirm_slowly(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(CONNECTED)
        for number in range(1, 21):
            connection.sendall(b"\x40\x02" + number.to_bytes(2, "big"))
            time.sleep(0.1)
        confirmed.set()
        while connection.recv(4096):
            pass

    def send_for_ever(channels: Callable[..., None]) -> None:
        for number in itertools.count():
            channels("room/a", "e", number)

    with peer(confirm_slowly) as port:
        sentence = use(f"mqtt://{HOST}:{port}", 1.5, send_for_ever)
        assert confirmed.is_set()
    assert sentence.endswith("within 1.5 s.")


def redis_that_answers(publish: Callable[[int], bytes]) -> Callable[[socket.socket], None]:
    """Be a Redis that takes every client, and gives this answer to its n-th message."""

    def serve(connection: socket.socket) -> None:
        published = 0
        with connection.makefile("rb") as lines:
            while count := lines.readline():
                words = [lines.read(int(lines.readline()[1:]) + 2) for _ in range(int(count[1:]))]
                answer = b"+PONG\r\n" if words[0] == b"PING\r\n" else b"+OK\r\n"
                if words[0] == b"HELLO\r\n":
                    answer = b"%1\r\n+proto\r\n:3\r\n"
                if words[0] == b"PUBLISH\r\n":
                    published += 1
                    answer = publish(published)
                connection.sendall(answer)

    return serve


REFUSED = b"-NOPERM no such topic for you\r\n"


@pytest.mark.slow
@pytest.mark.parametrize("answer", [b":1\r\n", REFUSED])
def test_a_redis_that_gets_on_is_waited_for(answer: bytes) -> None:
    """However many messages it is slow with, none is given up while it takes or refuses some."""
    pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")
    answered: list[int] = []

    def answer_slowly(number: int) -> bytes:
        time.sleep(0.002)
        answered.append(number)
        return answer

    def send(channels: Callable[..., None]) -> None:
        for number in range(1000):
            channels("room/a", "e", number)

    with peer(redis_that_answers(answer_slowly)) as port:
        url = f"redis://{HOST}:{port}/0"
        if answer == REFUSED:
            sentence = use(url, 1.5, send)
            assert sentence.startswith("1000 messages were not taken")
            assert sentence.endswith(f"{HOST}:{port} (to 'room/a'): no such topic for you.")
        else:
            with connect(url, timeout=1.5) as channels:
                send(channels)
    assert len(answered) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("answer", [b":1\r\n", REFUSED])
def test_a_redis_that_gets_on_within_a_round_trip_is_waited_for(answer: bytes) -> None:
    """Each answer begins the time anew, also where those of a round trip take longer than it."""
    pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")

    def answer_slowly(_number: int) -> bytes:
        time.sleep(0.05)
        return answer

    def send(channels: Callable[..., None]) -> None:
        for number in range(60):
            channels("room/a", "e", number)

    with peer(redis_that_answers(answer_slowly)) as port:
        url = f"redis://{HOST}:{port}/0"
        if answer == REFUSED:
            sentence = use(url, 1.5, send)
            assert sentence.startswith("60 messages were not taken")
            assert sentence.endswith("no such topic for you.")
        else:
            with connect(url, timeout=1.5) as channels:
                send(channels)


def test_the_time_begins_anew_when_the_broker_takes_the_connection(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it took to be connected is not missing for the first confirmation."""
    left: list[float] = []
    renew_limit = LimitedCondition.renew_limit

    def renew(condition: LimitedCondition) -> None:
        renew_limit(condition)
        left.append(condition._left)

    monkeypatch.setattr(LimitedCondition, "renew_limit", renew)

    def take(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(CONNECTED)
        connection.recv(4096)

    serve = take if scheme == "mqtt" else redis_that_answers(lambda _: b"")
    with peer(serve) as port, connect(f"{scheme}://{HOST}:{port}", timeout=PATIENCE):
        assert left == [PATIENCE]


def test_ctrl_c_when_the_client_has_taken_a_message_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block that goes on after it is not ended by the confirmation of that message alone."""
    client = pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt").Client
    publish = client.publish

    def interrupted_publish(*arguments: object) -> None:
        publish(*arguments)
        raise KeyboardInterrupt

    def confirm_the_first(connection: socket.socket) -> None:
        for answer in (CONNECTED, b"\x40\x02\0\x01"):
            connection.recv(4096)
            connection.sendall(answer)
        while connection.recv(4096):
            pass

    def send(channels: Callable[..., None]) -> None:
        monkeypatch.setattr(client, "publish", interrupted_publish)
        with pytest.raises(KeyboardInterrupt):
            channels("room/a", "e", 1)
        monkeypatch.undo()
        channels("room/a", "e", 2)

    with peer(confirm_the_first) as port:
        sentence = use(f"mqtt://{HOST}:{port}", 1, send)
    assert sentence.startswith("1 message was not confirmed")


def test_what_a_broker_says_does_nothing_to_a_terminal() -> None:
    """Its control characters are shown as in the other sentences, and not sent to a screen."""
    pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")

    def insult(connection: socket.socket) -> None:
        while connection.recv(4096):
            connection.sendall("-ERR \x1b[2J\x1b]0;gone\x07 \x9b31m \ufeffaway\r\n".encode())

    with peer(insult) as port:
        sentence = use(f"redis://{HOST}:{port}/0", PATIENCE, never)
    assert r"\x1b[2J\x1b]0;gone\x07 \x9b31m \ufeffaway" in sentence


def test_where_time_runs_out_what_failed_before_is_told_too() -> None:
    """What was refused and what was not answered are counted and told, each with its reason."""
    pytest.importorskip(LIBRARIES["redis"], reason="needs redis-py")

    def send(channels: Callable[..., None]) -> None:
        for number in range(300):
            channels("room/a", "e", number)

    with peer(redis_that_answers(lambda number: REFUSED if number <= 100 else b"")) as port:
        sentence = use(f"redis://{HOST}:{port}/0", 0.5, send)
    assert sentence.startswith("100 messages were not taken")
    assert "200 messages were not taken" in sentence
    assert "no such topic for you" in sentence


def test_a_connection_that_is_not_taken_is_given_up(scheme: str) -> None:
    """A machine that does not answer at all is a sentence as well."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind((HOST, 0))
        listener.listen(0)
        address = listener.getsockname()
        for waiting in (first, second):  # these are as many as it lets wait
            waiting.setblocking(False)
            waiting.connect_ex(address)
        sentence = use(f"{scheme}://{HOST}:{address[1]}", 0.5, never)
    assert "within 0.5 s." in sentence


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", f"{{}} closed the connection without an answer in MQTT{MAYBE_ENCRYPTED}."),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            f"{{}} closed the connection without an answer in MQTT{MAYBE_ENCRYPTED}.",
        ),
        (b"\x00\x00", f"{{}} answers, but not in MQTT{MAYBE_ENCRYPTED}."),
        (b"\x20\x02\x00\x05", "Refused by the MQTT broker at {}: Not authorized."),
    ],
)
def test_a_peer_that_is_no_broker_is_noticed_at_once(answer: bytes, sentence: str) -> None:
    """Who closes the connection, or answers something else, is not waited for."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")

    def answer_once(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    with peer(answer_once) as port:
        told = use(f"mqtt://{HOST}:{port}", 2 * PATIENCE, never)
        assert told == sentence.format(f"{HOST}:{port}")
