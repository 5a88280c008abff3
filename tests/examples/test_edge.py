"""The edge example, as a process of its own, with a real broker and simulated devices."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

import beryl_groups
from tests.channels.servers import HOST, MqttSubscriber, free_port, mosquitto
from tests.commandline.running import filled
from tests.processes import PATIENCE, in_thread, wait_until
from tests.sqlite.opening import run_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.channels.servers import Server

pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt")

EXAMPLE = Path(__file__).with_name("edge.py")


class Hub:
    """The example, running."""

    def __init__(self, database: Path, port: int) -> None:
        command = [sys.executable, EXAMPLE, "--database", database]
        command += ["--host", HOST, "--port", str(port)]
        self.process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self._log: IO[str] = self.process.stderr

    def wait_for(self, text: str) -> None:
        """Wait for a line of its log with this text."""

        def read() -> bool:
            return any(text in line for line in self._log)

        assert in_thread(read).result(PATIENCE), f"it ended without saying {text!r}"

    def end(self, number: int) -> str:
        """Send it a signal, and return what it says from then on."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE)
        return said


@contextmanager
def running(database: Path, port: int) -> Iterator[Hub]:
    hub = Hub(database, port)
    try:
        yield hub
    finally:
        hub.process.kill()
        hub.process.communicate(timeout=PATIENCE)


@pytest.fixture
def broker() -> Iterator[Server]:
    with mosquitto() as server:
        yield server


def publish(devices: MqttSubscriber, topic: str, text: str) -> None:
    devices.client.publish(topic, text, qos=1)


def finish(devices: MqttSubscriber) -> None:
    """Have the hub send something last, for the devices to know that nothing follows."""
    publish(devices, "groups/last/add", "device")
    publish(devices, "groups/last/cmnd/POWER", "END")


def switched(devices: MqttSubscriber) -> list[tuple[str, str]]:
    """Return what came for the devices before the end that `finish` asks for."""
    finish(devices)
    last = ("cmnd/device/POWER", b"END")
    return [(topic, text.decode()) for topic, text in iter(devices.get, last)]


def test_the_devices_of_a_group_are_switched_together(path: Path, broker: Server) -> None:
    """Each device of the group gets the command, as Tasmota takes it, and no other does."""
    with (
        MqttSubscriber(broker.port, "cmnd/+/+") as devices,
        running(path, broker.port) as hub,
    ):
        hub.wait_for("Ready")
        for group, device in (("kitchen", "lamp"), ("kitchen", "fan"), ("hall", "bell")):
            publish(devices, f"groups/{group}/add", device)
        publish(devices, "groups/kitchen/cmnd/POWER", "ON")
        publish(devices, "groups/kitchen/remove", "fan")
        publish(devices, "groups/kitchen/cmnd/Dimmer", "50")
        assert switched(devices) == [
            ("cmnd/fan/POWER", "ON"),
            ("cmnd/lamp/POWER", "ON"),
            ("cmnd/lamp/Dimmer", "50"),
        ]


@pytest.mark.slow
def test_a_hub_pulled_out_of_power_goes_on(path: Path, broker: Server) -> None:
    """Killed among its work, it does the rest when it is back, and what was asked for meanwhile."""
    names = {f"lamp-{number}" for number in range(300)}
    with MqttSubscriber(broker.port, "cmnd/+/+") as devices:
        with running(path, broker.port) as hub:
            hub.wait_for("Ready")
            for name in sorted(names):
                publish(devices, "groups/lamps/add", name)
            with beryl_groups.start(path) as groups:
                wait_until(lambda: "lamps" in groups and len(groups.topics("lamps")) > 10)
            hub.end(signal.SIGKILL)
        publish(devices, "groups/lamps/cmnd/POWER", "ON")
        with running(path, broker.port) as hub:
            received = switched(devices)

        assert set(received) == {(f"cmnd/{name}/POWER", "ON") for name in names}
        assert len(received) == len(names)
    with beryl_groups.start(path) as groups:
        assert groups.topics("lamps") == names
        assert groups.check() == []


def test_what_it_had_not_done_it_is_told_again(path: Path, broker: Server) -> None:
    """Killed while it waits for the file, it has confirmed nothing, and the broker sends again."""
    with (
        beryl_groups.start(path) as groups,
        MqttSubscriber(broker.port, "cmnd/+/+") as devices,
    ):
        with running(path, broker.port) as hub:
            hub.wait_for("Ready")
            with groups.transaction():
                publish(devices, "groups/lamps/add", "lamp")
                publish(devices, "groups/lamps/cmnd/POWER", "ON")
                devices.client.publish("end", qos=1)
                assert devices.until_end() == []
                hub.end(signal.SIGKILL)
        with running(path, broker.port):
            assert switched(devices) == [("cmnd/lamp/POWER", "ON")]


@pytest.mark.slow
def test_it_waits_for_a_broker_that_is_not_there(path: Path) -> None:
    """Before the broker is there, and while it is away, the hub tries again, and then goes on."""
    filled(path, {"kitchen": ["lamp"]})
    with mosquitto() as broker:
        broker.stop()
        with running(path, broker.port) as hub:
            hub.wait_for("No connection to the broker.")
            broker.start()
            hub.wait_for("Ready, with 1 groups.")
            broker.stop()
            hub.wait_for("Disconnected")
            broker.start()
            hub.wait_for("Ready")
            with MqttSubscriber(broker.port, "cmnd/+/+") as devices:
                publish(devices, "groups/kitchen/cmnd/POWER", "OFF")
                assert switched(devices) == [("cmnd/lamp/POWER", "OFF")]


def test_what_cannot_be_done_is_logged(path: Path, broker: Server) -> None:
    """A command that makes no sense is told, and keeps the next ones from nothing."""
    with (
        MqttSubscriber(broker.port, "cmnd/+/+") as devices,
        running(path, broker.port) as hub,
    ):
        hub.wait_for("Ready")
        publish(devices, "groups/kitchen/remove", "lamp")
        hub.wait_for("groups/kitchen/remove: There is no group 'kitchen'.")
        publish(devices, "groups/kitchen/add", "")
        hub.wait_for("groups/kitchen/add: The name '' cannot be stored: it is empty.")
        devices.client.publish("groups/kitchen/add", b"\xff", qos=1)
        hub.wait_for("groups/kitchen/add: 'utf-8' codec can't decode")
        assert switched(devices) == []


def test_where_the_storage_fails_it_logs_a_sentence_and_goes_on(path: Path, broker: Server) -> None:
    """What could not be stored is told, and the next message is dealt with as any other."""
    with (
        MqttSubscriber(broker.port, "cmnd/+/+") as devices,
        running(path, broker.port) as hub,
    ):
        hub.wait_for("Ready")
        publish(devices, "groups/kitchen/add", "lamp")
        publish(devices, "groups/kitchen/cmnd/POWER", "ON")
        assert devices.get() == ("cmnd/lamp/POWER", b"ON")
        run_sql(path, "ALTER TABLE group_topics RENAME TO elsewhere")
        publish(devices, "groups/kitchen/add", "fan")
        hub.wait_for("ERROR hub: groups/kitchen/add: The database ")
        run_sql(path, "ALTER TABLE elsewhere RENAME TO group_topics")
        publish(devices, "groups/kitchen/add", "bell")
        publish(devices, "groups/kitchen/cmnd/POWER", "OFF")
        assert switched(devices) == [("cmnd/bell/POWER", "OFF"), ("cmnd/lamp/POWER", "OFF")]
        assert "Traceback" not in hub.end(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_well_when_it_is_told_to(path: Path, broker: Server, number: int) -> None:
    """Ctrl-C or a service manager ends it without an error, and the file is closed."""
    with running(path, broker.port) as hub:
        hub.wait_for("Ready")
        assert "Traceback" not in hub.end(number)
        assert hub.process.returncode == 0
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_it_ends_well_while_there_is_no_broker(path: Path) -> None:
    """Ctrl-C ends the wait for a broker, too."""
    with free_port() as port, running(path, port) as hub:
        hub.wait_for("No connection to the broker.")
        assert "Traceback" not in hub.end(signal.SIGINT)
        assert hub.process.returncode == 0


def test_a_database_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    """It ends at once, with one line that says why."""
    with free_port() as port, running(tmp_path / "no" / "groups.db", port) as hub:
        _, said = hub.process.communicate(timeout=PATIENCE)
    assert hub.process.returncode == 1
    assert said.startswith("ERROR hub: The database ")
    assert said.count("\n") == 1
