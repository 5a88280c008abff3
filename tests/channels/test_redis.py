"""Broadcasts over Redis, through a real server."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest

from beryl_groups.channels import from_async, redis
from tests.channels.servers import HOST, Server, redis_server
from tests.processes import PATIENCE

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from redis import Redis

    from beryl_groups import Groups

redis_py = pytest.importorskip("redis", reason="needs redis-py")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Redis]:
    with redis_client(server.port) as client:
        yield client


def redis_client(port: int) -> Redis:
    """Make a client as an application has it, but one that tells of a lost connection at once."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    made: Redis = redis_py.Redis(HOST, port, retry=Retry(NoBackoff(), 0))
    return made


class Subscriber:
    """A client that keeps what it gets on its topics."""

    def __init__(self, port: int, *topics: str) -> None:
        self._client = redis_client(port)
        self._subscription = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._topics = [*topics, "end"]

    def __enter__(self) -> Self:
        self._subscription.subscribe(*self._topics)
        for _ in self._topics:
            assert self._next()["type"] == "subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self._subscription.close()
        self._client.close()

    def _next(self) -> dict[str, Any]:
        message = self._subscription.get_message(timeout=PATIENCE)
        assert message is not None, "nothing came"
        return dict(message)

    def until_end(self) -> list[tuple[str, bytes]]:
        """Return what came before the message that ends a test."""
        received = []
        while (message := self._next())["channel"] != b"end":
            received.append((message["channel"].decode(), message["data"]))
        return received


@pytest.fixture
def teams(groups: Groups) -> Groups:
    """Two groups that share a topic, and a topic that is in neither."""
    groups.create("design")
    groups.add("design", "room:ä", "room:b\n+#*")
    groups.create("build")
    groups.add("build", "room:b\n+#*", "room:z")
    return groups


INTERESTS = [["room:ä"], ["room:b\n+#*"], ["room:b\n+#*", "room:ä"], ["room:z"], ["room:*"]]

EVENT = '{"event": "deploy", "payload": {"env": ["prod", null, "é"]}}'.encode()
PAYLOAD = {"env": ["prod", None, "é"]}
A, B = ("room:ä", EVENT), ("room:b\n+#*", EVENT)
EXPECTED = [[A], [B], [B, A], [], []]


def error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def test_the_subscribers_of_a_groups_topics_get_the_event_once_and_no_others(
    teams: Groups, server: Server, client: Redis
) -> None:
    """Each client gets the event for each of its topics in the group, and for nothing else."""
    with ExitStack() as stack:
        subscribers = [
            stack.enter_context(Subscriber(server.port, *topics)) for topics in INTERESTS
        ]
        teams.broadcast(redis(client), "design", "deploy", PAYLOAD)
        client.publish("end", "")
        assert [subscriber.until_end() for subscriber in subscribers] == EXPECTED


def test_a_pipeline_sends_all_in_one_round_trip(
    teams: Groups, server: Server, client: Redis
) -> None:
    """What is published through a pipeline goes out at its ``execute``, to the same clients."""
    with ExitStack() as stack:
        subscribers = [
            stack.enter_context(Subscriber(server.port, *topics)) for topics in INTERESTS
        ]
        with client.pipeline(transaction=False) as pipeline:
            teams.broadcast(redis(pipeline), "design", "deploy", PAYLOAD)
            assert len(pipeline) == 2
            assert pipeline.execute() == [2, 2]
        client.publish("end", "")
        assert [subscriber.until_end() for subscriber in subscribers] == EXPECTED


def test_a_client_for_asyncio_gives_an_async_callback(
    teams: Groups, server: Server, client: Redis
) -> None:
    """It sends as the other does, from the thread of its event loop or, bridged, from others."""
    from redis.asyncio import Redis as AsyncRedis

    async def send() -> None:
        async with AsyncRedis(host=HOST, port=server.port) as async_client:
            channels = redis(async_client)
            await channels("room:z", "direct", 1)
            bridged = from_async(channels, asyncio.get_running_loop())
            await asyncio.to_thread(teams.broadcast, bridged, "build", "bridged", 2)

    with Subscriber(server.port, "room:z") as subscriber:
        asyncio.run(send())
        client.publish("end", "")
        assert [json.loads(body) for _, body in subscriber.until_end()] == [
            {"event": "direct", "payload": 1},
            {"event": "bridged", "payload": 2},
        ]


def test_topic_and_body_can_be_shaped(teams: Groups, server: Server, client: Redis) -> None:
    """A caller's own functions say what goes where, as text or as bytes."""
    with Subscriber(server.port, "app:room:z:level") as subscriber:
        shaped = redis(
            client,
            topic=lambda topic, event: f"app:{topic}:{event}",
            body=lambda event, payload: bytes([payload]),
        )
        teams.broadcast(shaped, "build", "level", 7)
        client.publish("end", "")
        assert subscriber.until_end() == [("app:room:z:level", b"\x07")]


@pytest.mark.parametrize("payload", [object(), {"a": {1, 2}}, float("nan"), b"x", "\ud800"])
def test_a_payload_that_json_cannot_carry_is_logged(
    teams: Groups, server: Server, client: Redis, caplog: pytest.LogCaptureFixture, payload: Any
) -> None:
    """It is the same failure of each topic, and nothing is sent."""
    with Subscriber(server.port, "room:ä", "room:b\n+#*") as subscriber:
        teams.broadcast(redis(client), "design", "e", payload)
        client.publish("end", "")
        assert subscriber.until_end() == []
    (record,) = caplog.records
    assert isinstance(error(record), TypeError | ValueError)
    assert "2 topics" in record.getMessage()


def test_a_connection_that_was_lost_comes_back(
    teams: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """During the outage what failed is logged, and after it all is as before."""
    with redis_server() as server, redis_client(server.port) as client:
        teams.broadcast(redis(client), "design", "before", None)
        server.stop()
        teams.broadcast(redis(client), "design", "lost", None)
        (record,) = caplog.records
        assert isinstance(error(record), redis_py.exceptions.ConnectionError)
        assert "2 topics" in record.getMessage()
        server.start()
        with Subscriber(server.port, "room:ä") as subscriber:
            teams.broadcast(redis(client), "design", "after", None)
            client.publish("end", "")
            assert subscriber.until_end() == [("room:ä", b'{"event": "after", "payload": null}')]
    assert len(caplog.records) == 1
