"""Ctrl-C while ``connect`` brings a client."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from beryl_groups.channels import connect
from tests.channels.servers import HOST, mosquitto, redis_server
from tests.processes import gather, wait_until

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
