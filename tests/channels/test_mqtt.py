"""Broadcasts over MQTT, through a real broker."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest

from beryl_groups.channels import SendFailed, mqtt
from tests.channels.servers import HOST, MqttSubscriber, Server, mosquitto, mqtt_client
from tests.processes import PATIENCE, wait_until

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from paho.mqtt.client import Client

    from beryl_groups import Groups


@pytest.fixture(scope="module")
def broker() -> Iterator[Server]:
    with mosquitto() as server:
        yield server


@contextmanager
def connected(port: int) -> Iterator[Client]:
    """Give a client as an application has it: connected, with its network thread."""
    client = mqtt_client()
    client.connect(HOST, port)
    client.loop_start()
    try:
        wait_until(client.is_connected)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def end(client: Client) -> None:
    """Tell the subscribers that nothing more comes: what was sent before has come before."""
    client.publish("end", b"", qos=2)


def wait_for_broker(client: Client) -> None:
    """Wait until the broker has all that was sent so far."""
    client.publish("unheard", b"", qos=1).wait_for_publish(PATIENCE)


@pytest.fixture
def teams(groups: Groups) -> Groups:
    """Two groups that share a topic, and a topic that is in neither."""
    groups.create("design")
    groups.add("design", "room/ä", "room/b")
    groups.create("build")
    groups.add("build", "room/b", "room/z")
    return groups


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_subscribers_of_a_groups_topics_get_the_event_once_and_no_others(
    teams: Groups, broker: Server, qos: Literal[0, 1, 2]
) -> None:
    """Each client gets the event for each of its topics in the group, and for nothing else."""
    interests = [["room/ä"], ["room/b"], ["room/b", "room/ä"], ["room/z"], ["room/+"], []]
    with ExitStack() as stack:
        client = stack.enter_context(connected(broker.port))
        subscribers = [
            stack.enter_context(MqttSubscriber(broker.port, *topics)) for topics in interests
        ]
        teams.broadcast(mqtt(client, qos=qos), "design", "deploy", {"env": ["prod", None, "é"]})
        end(client)
        received = [sorted(subscriber.until_end()) for subscriber in subscribers]

    event = '{"event": "deploy", "payload": {"env": ["prod", null, "é"]}}'.encode()
    a, b = ("room/ä", event), ("room/b", event)
    assert received == [[a], [b], [b, a], [], [b, a], []]


def test_a_retained_event_reaches_who_subscribes_later(teams: Groups, broker: Server) -> None:
    """With ``retain`` the broker keeps the event, and without it does not."""
    with connected(broker.port) as client:
        teams.broadcast(mqtt(client, qos=1, retain=True), "design", "level", 7)
        teams.broadcast(mqtt(client, qos=1), "build", "level", 8)
        wait_for_broker(client)
        with MqttSubscriber(broker.port, "room/#") as late:
            end(client)
            received = sorted(late.until_end())
        # An empty body makes the broker forget.
        forget = mqtt(client, qos=1, retain=True, body=lambda event, payload: b"")
        teams.broadcast(forget, "design", "level", None)
        wait_for_broker(client)
        with MqttSubscriber(broker.port, "room/#") as later:
            end(client)
            assert later.until_end() == []

    event = b'{"event": "level", "payload": 7}'
    assert received == [("room/b", event), ("room/ä", event)]


def test_topic_and_body_can_be_shaped(groups: Groups, broker: Server) -> None:
    """A Tasmota plug gets ``ON`` at ``cmnd/<topic>/<event>``, as it wants it."""
    groups.create("plugs")
    groups.add("plugs", "lamp", "fan")
    with connected(broker.port) as client, MqttSubscriber(broker.port, "cmnd/#") as plugs:
        tasmota = mqtt(
            client,
            topic=lambda topic, event: f"cmnd/{topic}/{event}",
            body=lambda event, payload: payload,
        )
        groups.broadcast(tasmota, "plugs", "POWER", "ON")
        end(client)
        assert plugs.until_end() == [("cmnd/fan/POWER", b"ON"), ("cmnd/lamp/POWER", b"ON")]


REFUSED = [
    *("a+b", "a/#", "a\nb", "a\x01", "a\x7f", "a\x85", "a\ufdd0", "a\uffff", "a\U0010fffe"),
]


@pytest.mark.parametrize("qos", [0, 1])
def test_topics_that_mqtt_cannot_carry_are_logged_and_the_rest_get_theirs(
    groups: Groups, broker: Server, caplog: pytest.LogCaptureFixture, qos: Literal[0, 1]
) -> None:
    """A topic for which a broker would close the connection keeps the event from nobody else."""
    groups.create("mixed")
    groups.add("mixed", "A/first", "z/last", *REFUSED)
    groups.create("shaped")
    groups.add("shaped", "nul", "empty", "ok", "surrogate")
    shapes = {"nul": "a\0b", "empty": "", "ok": "ok", "surrogate": "\ud800"}
    lost: list[object] = []
    with connected(broker.port) as client, MqttSubscriber(broker.port, "#") as subscriber:
        client.on_disconnect = lambda *reason: lost.append(reason)
        groups.broadcast(mqtt(client, qos=qos), "mixed", "e", None)
        shaped = mqtt(client, qos=qos, topic=lambda topic, event: shapes[topic])
        groups.broadcast(shaped, "shaped", "e", None)
        end(client)
        # The client that publishes is told here that its connection is as it was.
        wait_until(lambda: not client.want_write())
        received = [topic for topic, _ in subscriber.until_end()]
        assert lost == []
    assert received == ["A/first", "z/last", "ok"]
    assert [record.name for record in caplog.records] == ["beryl_groups"] * (len(REFUSED) + 3)
    assert all(isinstance(error(record), ValueError) for record in caplog.records)


def error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


@pytest.mark.parametrize("payload", [object(), {"a": {1, 2}}, float("nan"), b"x", "\ud800"])
def test_a_payload_that_json_cannot_carry_is_logged(
    teams: Groups, broker: Server, caplog: pytest.LogCaptureFixture, payload: Any
) -> None:
    """It is the same failure of each topic, and nothing is sent."""
    with connected(broker.port) as client, MqttSubscriber(broker.port, "#") as subscriber:
        teams.broadcast(mqtt(client, qos=1), "design", "e", payload)
        end(client)
        assert subscriber.until_end() == []
    (record,) = caplog.records
    assert isinstance(error(record), TypeError | ValueError)
    assert "2 topics" in record.getMessage()


def test_without_a_connection_qos_0_fails_and_qos_1_waits_for_it(
    teams: Groups, broker: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """QoS 0 is an error; the client keeps QoS 1 and sends it once connected."""
    client = mqtt_client()
    teams.broadcast(mqtt(client), "design", "lost", None)
    (record,) = caplog.records
    assert isinstance(error(record), SendFailed)
    assert str(error(record)) == "The MQTT client is not connected: 'room/b' gets nothing."
    assert record.getMessage().endswith("in the same way for 2 topics: 'room/b', 'room/ä'.")
    caplog.clear()
    teams.broadcast(mqtt(client, qos=1), "design", "kept", None)
    assert caplog.records == []

    with MqttSubscriber(broker.port, "#") as subscriber:
        client.connect(HOST, broker.port)
        client.loop_start()
        received = [subscriber.get(), subscriber.get()]
        client.disconnect()
        client.loop_stop()
    event = b'{"event": "kept", "payload": null}'
    assert sorted(received) == [("room/b", event), ("room/ä", event)]


def test_a_client_that_takes_no_more_is_an_error(teams: Groups) -> None:
    """What the client refuses to keep is not silently lost."""
    client = mqtt_client()
    client.max_queued_messages_set(1)
    send = mqtt(client, qos=1)
    send("room/a", "e", None)
    with pytest.raises(SendFailed, match=r"message to 'room/b': MQTT_ERR_QUEUE_SIZE\.$"):
        send("room/b", "e", None)


def test_a_connection_that_was_lost_comes_back(
    teams: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """During the outage QoS 0 is logged and lost, QoS 1 waits; after it all is as before."""
    with (
        mosquitto() as broker,
        connected(broker.port) as client,
        MqttSubscriber(broker.port, "room/+") as subscriber,
    ):
        teams.broadcast(mqtt(client), "design", "before", None)
        assert {subscriber.get()[0], subscriber.get()[0]} == {"room/b", "room/ä"}

        subscriber.expect_loss()
        broker.stop()
        wait_until(lambda: not client.is_connected())
        teams.broadcast(mqtt(client), "design", "lost", None)
        (record,) = caplog.records
        assert isinstance(error(record), SendFailed)
        assert "2 topics" in record.getMessage()

        broker.start()
        subscriber.wait_until_subscribed()
        wait_until(client.is_connected)
        teams.broadcast(mqtt(client), "design", "after", None)
        end(client)
        received = [(topic, json.loads(body)) for topic, body in subscriber.until_end()]
    after = {"event": "after", "payload": None}
    assert received == [("room/b", after), ("room/ä", after)]
    assert len(caplog.records) == 1


def test_what_qos_1_kept_over_an_outage_arrives(
    teams: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """A broadcast of QoS 1 while the broker is away reaches its subscribers, and logs nothing."""
    with mosquitto() as broker, connected(broker.port) as client:
        broker.stop()
        wait_until(lambda: not client.is_connected())
        teams.broadcast(mqtt(client, qos=1, retain=True), "design", "kept", None)
        assert caplog.records == []
        broker.start()
        with MqttSubscriber(broker.port, "room/+") as subscriber:
            received = {subscriber.get(), subscriber.get()}
    event = b'{"event": "kept", "payload": null}'
    assert received == {("room/b", event), ("room/ä", event)}


def test_a_quality_of_service_that_mqtt_does_not_have_is_refused() -> None:
    """A wrong setting is a mistake of the caller, not a failure of each topic."""
    with pytest.raises(ValueError, match="qos is 0, 1 or 2, not 3"):
        mqtt(mqtt_client(), qos=3)  # type: ignore[call-overload]
