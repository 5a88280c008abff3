"""Ctrl-C while ``connect`` brings a client."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups.channels import connect
from tests.processes import PATIENCE, gather, wait_until
from tests.servers import HOST, MqttSubscriber, mosquitto, redis_server

if TYPE_CHECKING:
    from types import FrameType

STEPS = {"before": threading.Thread.start, "while": threading.Event.wait}


def interrupt_start_of_thread(step: str, url: str) -> None:
    code = STEPS[step].__code__

    def trace(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code is code:
            raise KeyboardInterrupt

    def attempt() -> None:
        sys.settrace(trace)
        try:
            with connect(url):
                pass
        finally:
            sys.settrace(None)

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        attempt()
    wait_until(lambda: threading.active_count() == before)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("scheme", ["mqtt", "redis"])
def test_ctrl_c_while_the_thread_of_a_client_starts_is_heard(scheme: str, step: str) -> None:
    """The caller gets the interrupt itself, and no thread is left."""
    pytest.importorskip({"mqtt": "paho.mqtt.client", "redis": "redis"}[scheme])
    with {"mqtt": mosquitto, "redis": redis_server}[scheme]() as server:
        gather(interrupt_start_of_thread, [(step, f"{scheme}://{HOST}:{server.port}")])


def interrupt_end_of_publish(url: str) -> None:
    client = pytest.importorskip("paho.mqtt.client").Client

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_code is client.publish.__code__:
            if event == "return":
                sys.settrace(None)
                raise KeyboardInterrupt
            return trace
        return None

    with connect(url, timeout=PATIENCE) as channels:
        sys.settrace(trace)
        with pytest.raises(KeyboardInterrupt):
            channels("room/a", "e", 1)
        channels("room/a", "e", 2)


def test_ctrl_c_when_the_client_has_taken_a_message_does_not_hide_another() -> None:
    """A block that goes on after it ends when everything is confirmed, and not before."""
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt")
    with mosquitto() as server, MqttSubscriber(server.port, "room/+") as subscriber:
        gather(interrupt_end_of_publish, [(f"mqtt://{HOST}:{server.port}",)])
        subscriber.client.publish("end", qos=2)
        assert len(list(subscriber.until_end())) == 2
