"""Clients that are async: an async handle awaits them, and a plain one says what to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from beryl_groups import aio
from beryl_groups.channels import from_async, mqtt, phoenix, redis, socketio
from tests.channels.servers import HOST, MqttSubscriber, Server, mosquitto, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from beryl_groups import Groups

    Async = Callable[[str, str, Any], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def broker() -> Iterator[Server]:
    with mosquitto() as server:
        yield server


@pytest.fixture(scope="module")
def redis_broker() -> Iterator[Server]:
    with redis_server() as server:
        yield server


TOPICS = ["room/a", "room/b", "room/c"]
EVENT = b'{"event": "deploy", "payload": 1}'


@pytest.fixture
def team(groups: Groups) -> Groups:
    groups.create("team")
    groups.add("team", *TOPICS)
    return groups


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_aiomqtt_client_publishes_in_an_async_broadcast(
    path: Path, broker: Server, qos: Any, concurrency: int
) -> None:
    """Each subscriber gets the event once, with every quality of service and at every pace."""
    aiomqtt = pytest.importorskip("aiomqtt", reason="needs aiomqtt")

    async def main() -> None:
        async with aio.start(path) as groups, aiomqtt.Client(HOST, broker.port) as client:
            await groups.create("team")
            await groups.add("team", *TOPICS)
            await groups.broadcast(
                mqtt(client, qos=qos), "team", "deploy", 1, concurrency=concurrency, timeout=60
            )
            async with groups.transaction() as transaction:
                await transaction.broadcast(mqtt(client, qos=qos), "team", "deploy", 1)
            await client.publish("end", b"", qos=2)

    with MqttSubscriber(broker.port, "room/+") as subscriber:
        asyncio.run(main())
        assert sorted(subscriber.until_end()) == sorted([(topic, EVENT) for topic in TOPICS] * 2)


def test_an_aiomqtt_client_takes_shaped_topics_and_retains(path: Path, broker: Server) -> None:
    """What can be said to the callback of a plain client can be said to this one."""
    aiomqtt = pytest.importorskip("aiomqtt", reason="needs aiomqtt")

    async def main() -> None:
        async with aiomqtt.Client(HOST, broker.port) as client:
            tasmota: Async = mqtt(
                client,
                qos=1,
                retain=True,
                topic=lambda topic, event: f"cmnd/{topic}/{event}",
                body=lambda event, payload: payload,
            )
            await tasmota("lamp", "POWER", "ON")
            with pytest.raises(ValueError, match=r"cannot publish to the topic 'cmnd/\+/POWER'"):
                await tasmota("+", "POWER", "ON")
            with MqttSubscriber(broker.port, "cmnd/#") as late:
                await client.publish("end", b"", qos=1)
                assert late.until_end() == [("cmnd/lamp/POWER", b"ON")]
            await client.publish("cmnd/lamp/POWER", b"", qos=1, retain=True)

    asyncio.run(main())


@pytest.mark.slow
def test_an_aiomqtt_client_without_a_broker_is_one_failure(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the client raises for each topic is logged once."""
    aiomqtt = pytest.importorskip("aiomqtt", reason="needs aiomqtt")

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("team")
            await groups.add("team", *TOPICS)
            with mosquitto() as server:
                async with aiomqtt.Client(HOST, server.port) as client:
                    server.stop()
                    with pytest.raises(aiomqtt.MqttError):  # when the client has noticed
                        await anext(client.messages)
                    send = mqtt(client)
                    await groups.broadcast(send, "team", "e", None, concurrency=2, timeout=5)

    asyncio.run(main())
    (record,) = [record for record in caplog.records if record.name == "beryl_groups"]
    assert "3 topics" in record.getMessage()
    assert record.exc_info
    assert isinstance(record.exc_info[1], aiomqtt.MqttError)


def made_by(name: str, broker: Server, redis_broker: Server) -> Any:
    """Make a callback over a client that is async; no client connects before it is used."""
    if name == "mqtt":
        return mqtt(pytest.importorskip("aiomqtt").Client(HOST, broker.port))
    if name == "redis":
        return redis(pytest.importorskip("redis.asyncio").Redis(host=HOST, port=redis_broker.port))
    if name == "socketio":
        return socketio(pytest.importorskip("socketio").AsyncServer(async_mode="asgi"))

    class Push:
        async def __call__(self, topic: str, text: str) -> None:
            pytest.fail("it was called")

    return phoenix(Push())


@pytest.mark.parametrize("name", ["mqtt", "redis", "socketio", "phoenix"])
def test_a_plain_handle_refuses_an_async_client_at_once(
    team: Groups, broker: Server, redis_broker: Server, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says what to do, in a transaction too, and nothing is left that was never awaited."""

    async def main() -> None:
        callback = made_by(name, broker, redis_broker)
        with pytest.raises(TypeError, match=r"is async.*from_async, or use .*beryl_groups\.aio"):
            team.broadcast(callback, "team", "e", None)
        with team.transaction() as transaction, pytest.raises(TypeError, match="from_async"):
            transaction.broadcast(callback, "team", "e", None)

    asyncio.run(main())
    assert not [record for record in caplog.records if record.name == "beryl_groups"]


def test_an_aiomqtt_client_serves_other_threads_through_from_async(
    team: Groups, broker: Server
) -> None:
    """Which is what a plain handle says."""
    aiomqtt = pytest.importorskip("aiomqtt", reason="needs aiomqtt")

    async def main() -> None:
        async with aiomqtt.Client(HOST, broker.port) as client:
            bridged = from_async(mqtt(client, qos=1), asyncio.get_running_loop())
            await asyncio.to_thread(team.broadcast, bridged, "team", "deploy", 1)
            await client.publish("end", b"", qos=1)

    with MqttSubscriber(broker.port, "room/+") as subscriber:
        asyncio.run(main())
        assert subscriber.until_end() == [(topic, EVENT) for topic in TOPICS]


def test_a_pipeline_of_an_async_redis_client_keeps_what_it_gets(
    path: Path, team: Groups, redis_broker: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits there for the ``execute()``, in a broadcast of either kind of handle."""
    redis_asyncio = pytest.importorskip("redis.asyncio", reason="needs redis-py")

    async def main() -> None:
        async with (
            aio.start(path) as groups,
            redis_asyncio.Redis(host=HOST, port=redis_broker.port) as client,
            client.pipeline(transaction=False) as pipeline,
        ):
            team.broadcast(redis(pipeline), "team", "e", None)
            await groups.broadcast(redis(pipeline), "team", "e", None)
            assert await pipeline.execute() == [0] * 6

    asyncio.run(main())
    assert not caplog.records


def test_the_types_of_the_callbacks() -> None:
    """A type checker knows which of them are async."""

    class AsyncClient:
        async def publish(self, topic: str, payload: str | bytes, qos: int, retain: bool) -> None:
            raise NotImplementedError

    class Client:
        def publish(self, topic: str, payload: str | bytes, qos: int, retain: bool) -> object:
            raise NotImplementedError

    assert_type(mqtt(AsyncClient()), "Async")
    assert_type(mqtt(Client()), "Callable[[str, str, Any], None]")
