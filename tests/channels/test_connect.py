"""``connect``: a URL to send to, for the length of a block."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from beryl_groups import GroupError
from beryl_groups.channels import SendFailed, connect
from tests.channels.servers import (
    HOST,
    MqttSubscriber,
    Server,
    free_port,
    mosquitto,
    redis_server,
)
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups import Groups

BROKERS = {"mqtt": mosquitto, "redis": redis_server}
MANY = 3000
"""More messages than may be under way at once."""


def broker(scheme: str, password: str | None = None) -> AbstractContextManager[Server]:
    return BROKERS[scheme](password)


def url(scheme: str, port: int, user: str = "") -> str:
    return f"{scheme}://{user}{HOST}:{port}" + ("/0" if scheme == "redis" else "")


@contextmanager
def connected(url: str, timeout: float) -> Iterator[Callable[[str, str, object], object]]:
    """Connect with a timeout that may be too short to connect, but not for what comes then."""
    deadline = time.monotonic() + PATIENCE
    with ExitStack() as stack:
        while True:
            try:
                channels = stack.enter_context(connect(url, timeout=timeout))
            except SendFailed:
                assert time.monotonic() < deadline
            else:
                break
        yield channels


@pytest.fixture
def teams(groups: Groups) -> Groups:
    """A group of three topics, and one of so many that they cannot all be under way at once."""
    groups.create("design")
    groups.add("design", "room/a", "room/b", "room/c")
    groups.create("crowd")
    groups.set_topics("crowd", [f"room/{number}" for number in range(MANY)])
    return groups


@contextmanager
def received(scheme: str, port: int) -> Iterator[Callable[[], list[str]]]:
    """Give a function that returns the topics whose event the broker had before its call."""
    if scheme == "mqtt":
        with MqttSubscriber(port, "room/+") as subscriber:

            def topics() -> list[str]:
                with connect(url(scheme, port)) as channels:
                    channels("end", "", None)
                return [topic for topic, _ in iter(subscriber.get, ("end", END))]

            yield topics
    else:
        import redis

        with redis.Redis(HOST, port) as client:
            subscription = client.pubsub()
            with closing(subscription):
                subscription.psubscribe("room/*", "end")

                def topics() -> list[str]:
                    client.publish("end", END)
                    messages = iter(lambda: subscription.get_message(timeout=PATIENCE), None)
                    found = []
                    for message in messages:
                        if message["type"] == "pmessage":
                            if message["channel"] == b"end":
                                break
                            found.append(message["channel"].decode())
                    return found

                for _ in range(2):
                    assert subscription.get_message(timeout=PATIENCE)
                yield topics


END = b'{"event": "", "payload": null}'


@pytest.mark.parametrize("group", ["design", "crowd"])
def test_when_the_block_has_ended_the_broker_has_everything(
    teams: Groups, scheme: str, group: str
) -> None:
    """Every topic got its event, once, before anything that is sent after the block."""
    with broker(scheme) as server, received(scheme, server.port) as topics:
        with connect(url(scheme, server.port)) as channels:
            teams.broadcast(channels, group, "deploy", {"env": "prod"})
        assert sorted(topics()) == sorted(teams.topics(group))


def test_user_and_password_come_from_the_url(teams: Groups, scheme: str) -> None:
    """They are percent-encoded as in any URL, and without the right ones there is no block."""
    password = "p@ss:w/rd #1%" if scheme == "mqtt" else "p@ss:w/rd#1%"
    user = "ada" if scheme == "mqtt" else ""
    with broker(scheme, password) as server:
        right = url(scheme, server.port, f"{user}:{quote(password, safe='')}@")
        with connect(right) as channels:
            teams.broadcast(channels, "design", "e", None)
        for wrong in (f"{user}:secret@", ""):
            with pytest.raises(SendFailed) as failed, connect(url(scheme, server.port, wrong)):
                pytest.fail("the block was entered")
            assert f"{HOST}:{server.port}" in str(failed.value)
            assert "secret" not in str(failed.value)


def test_where_nobody_listens_there_is_no_block(scheme: str) -> None:
    """A broker that is not there is a sentence that names it, and an error of this package."""
    with (
        free_port() as port,
        pytest.raises(SendFailed, match=f"{HOST}:{port}.*refused") as failed,
        connect(url(scheme, port)),
    ):
        pytest.fail("the block was entered")
    assert isinstance(failed.value, GroupError)
    assert isinstance(failed.value.__cause__, Exception)


def test_where_nobody_answers_the_timeout_ends_the_wait(scheme: str) -> None:
    """A server that takes the connection and stays silent is not waited for for ever."""
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        with (
            pytest.raises(SendFailed, match=f"{HOST}:{port}"),
            connect(url(scheme, port), timeout=0.1),
        ):
            pytest.fail("the block was entered")


def answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)


@pytest.mark.parametrize("answer", [b"+OK\r\n", b":1\r\n", b"*0\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"])
def test_a_peer_that_is_no_redis_is_told(answer: bytes) -> None:
    """Whatever redis-py makes of the answer, the sentence says where it came from."""
    pytest.importorskip("redis", reason="needs redis-py")
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        peer = threading.Thread(target=answer_once, args=(server, answer), daemon=True)
        peer.start()
        with (
            pytest.raises(SendFailed, match=f"{HOST}:{port} cannot be used: .") as failed,
            connect(url("redis", port)),
        ):
            pytest.fail("the block was entered")
        peer.join(PATIENCE)
    assert isinstance(failed.value.__cause__, Exception)


def test_a_broker_that_is_gone_before_the_end_is_an_error(teams: Groups, scheme: str) -> None:
    """Leaving the block tells that the broker has not got everything, and how much is missing."""
    with (  # noqa: PT012
        broker(scheme) as server,
        pytest.raises(SendFailed, match=rf"^3 messages were not .*{HOST}:{server.port}"),
        connected(url(scheme, server.port), timeout=0.3) as channels,
    ):
        server.stop()
        teams.broadcast(channels, "design", "e", None)


def test_a_broker_that_hangs_is_waited_for_once_and_not_for_each_topic(
    teams: Groups, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The first topics wait out the timeout, the rest fail at once, and the block fails."""
    began = time.monotonic()
    with (  # noqa: PT012
        broker(scheme) as server,
        pytest.raises(SendFailed, match=r"^\d+ messages were not .* within 0\.3 s\.$"),
        connected(url(scheme, server.port), timeout=0.3) as channels,
    ):
        server.freeze()
        teams.broadcast(channels, "crowd", "e", None)
    assert time.monotonic() - began < PATIENCE
    *_, record = [record for record in caplog.records if record.name == "beryl_groups"]
    found = re.search(r"for ([\d,]+) topics", record.getMessage())
    assert found
    assert MANY / 4 < int(found[1].replace(",", "")) < MANY


def test_what_was_sent_while_an_mqtt_broker_was_away_arrives(teams: Groups) -> None:
    """QoS 1 carries the messages over an outage that ends within the timeout."""
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt")
    with mosquitto() as server, MqttSubscriber(server.port, "room/+") as subscriber:
        with connect(url("mqtt", server.port), timeout=PATIENCE) as channels:
            subscriber.expect_loss()
            server.stop()
            teams.broadcast(channels, "design", "during", None)
            server.start()
            subscriber.wait_until_subscribed()
            teams.broadcast(channels, "design", "after", None)
        with connect(url("mqtt", server.port)) as channels:
            channels("end", "", None)
        received = [
            (json.loads(body)["event"], topic) for topic, body in iter(subscriber.get, ("end", END))
        ]
    after = [topic for event, topic in received if event == "after"]
    assert after == ["room/a", "room/b", "room/c"]


def test_redis_is_used_again_when_it_is_back(teams: Groups) -> None:
    """What was sent during the outage is lost, which the end of the block tells; then all goes."""
    pytest.importorskip("redis", reason="needs redis-py")
    with (  # noqa: PT012
        redis_server() as server,
        pytest.raises(SendFailed, match=r"^\d+ messages were not taken"),
        connect(url("redis", server.port)) as channels,
    ):
        server.stop()
        # These are more than may wait, so that some have failed when the call returns.
        teams.broadcast(channels, "crowd", "lost", None)
        server.start()
        with received("redis", server.port) as topics:
            found: set[str] = set()
            while found != {"room/after"}:
                channels("room/after", "e", None)
                found = set(topics()) - teams.topics("crowd")


def test_a_call_that_failed_is_told_at_the_end_of_the_block(
    teams: Groups, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A broadcast logs what failed and goes on; who left the block without an error sent all."""
    with broker(scheme) as server, received(scheme, server.port) as topics:
        with (  # noqa: PT012
            pytest.raises(SendFailed, match=r"^3 of the messages .* not JSON serializable\.$"),
            connect(url(scheme, server.port)) as channels,
        ):
            teams.broadcast(channels, "design", "bad", object())
            teams.broadcast(channels, "design", "good", None)
        assert topics() == ["room/a", "room/b", "room/c"]
    (record,) = caplog.records
    assert "3 topics" in record.getMessage()


def test_a_call_after_the_end_of_the_block_is_refused(scheme: str) -> None:
    """Nobody would send its message any more, whether the block ended well or raised."""
    with broker(scheme) as server:
        with connect(url(scheme, server.port)) as ended:
            pass
        with pytest.raises(ZeroDivisionError), connect(url(scheme, server.port)) as left:
            raise ZeroDivisionError
    for channels in (ended, left):
        with pytest.raises(SendFailed, match=r"^The block of connect\(\) has ended\.$"):
            channels("room/a", "e", None)


def test_a_block_that_raises_is_left_with_its_own_error(teams: Groups, scheme: str) -> None:
    """Nothing is waited for, so that the error of the block is what the caller sees."""
    with (  # noqa: PT012
        broker(scheme) as server,
        pytest.raises(ZeroDivisionError),
        connect(url(scheme, server.port), timeout=PATIENCE) as channels,
    ):
        server.stop()
        teams.broadcast(channels, "design", "e", None)
        raise ZeroDivisionError
