"""Real servers for tests: brokers and web servers on free ports, ended with the block."""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.processes import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paho.mqtt.client import Client

HOST = "127.0.0.1"
LIBRARIES = {"mqtt": "paho.mqtt.client", "redis": "redis"}


def find(program: str) -> str | None:
    """Find a program, also where Debian puts servers and few users look."""
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


@contextmanager
def free_port() -> Iterator[int]:
    """Keep a port from everybody who does not ask for it; a server may listen there, or nobody."""
    with socket.socket() as taken:
        if os.name == "posix":  # there it lets a server have the port nevertheless
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
        yield port


class Server:
    """A server program of a port of its own, which can be stopped and started again."""

    def __init__(self, *command: str, port: int, folder: Path) -> None:
        program = find(command[0])
        if program is None:
            pytest.skip(f"needs the program {command[0]}")
        self.port = port
        self._command = [program, *command[1:]]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program and wait until it takes connections."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with suppress(ConnectionRefusedError), socket.create_connection((HOST, self.port)):
            return True
        return False

    def ask_to_end(self) -> None:
        """Tell it to end in its own time, as a system does that goes down."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        """Let it keep its connections and answer nobody any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End the program at once; to stop it twice is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def mosquitto(password: str | None = None, *more_settings: str) -> Iterator[Server]:
    """Run an MQTT broker; with a password, for the user ``ada`` alone."""
    with free_port() as port, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server("mosquitto", "-c", "mosquitto.conf", port=port, folder=folder)
        # Started by root it would otherwise become a user who may not read the folder.
        settings = [f"listener {port} {HOST}", "user root", "persistence false"]
        # By default mosquitto drops what waits for a subscriber beyond a thousand messages.
        settings += ["max_queued_messages 0", *more_settings]
        if password is None:
            settings.append("allow_anonymous true")
        else:
            passwd = find("mosquitto_passwd")
            assert passwd is not None
            command = [passwd, "-c", "-b", "passwords", "ada", password]
            subprocess.run(command, cwd=folder, check=True)
            settings.append("password_file passwords")
        (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
        with running(server):
            yield server


@contextmanager
def redis_server(password: str | None = None, *options: str) -> Iterator[Server]:
    """Run a Redis server, which keeps nothing; with a certificate it is encrypted."""
    with free_port() as port, tempfile.TemporaryDirectory() as name:
        is_encrypted = "--tls-cert-file" in options
        ports = ["--port", "0", "--tls-port", str(port)] if is_encrypted else ["--port", str(port)]
        command = ["redis-server", *ports, "--bind", HOST, "--save", "", *options]
        if password is not None:
            command += ["--requirepass", password]
        with running(Server(*command, port=port, folder=Path(name))) as server:
            yield server


@contextmanager
def peer(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a port, and serve each connection in a thread of its own until it is closed."""

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    def accept() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    with socket.create_server((HOST, 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    accepting.join(PATIENCE)


class AsgiServer:
    """A web server of an ASGI application, in a thread with an event loop."""

    def __init__(self, application: Any) -> None:
        uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn")
        self._socket = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self.loop = asyncio.new_event_loop()
        self._server = uvicorn.Server(
            uvicorn.Config(application, ws="websockets-sansio", lifespan="off", log_config=None)
        )
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: self._server.started)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        self._socket.close()


@contextmanager
def asgi_server(application: Any) -> Iterator[AsgiServer]:
    """Serve an ASGI application over HTTP and WebSockets."""
    server = AsgiServer(application)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class MqttSubscriber:
    """A client of a broker that keeps what it gets, and subscribes anew when it comes back."""

    def __init__(self, port: int, *topics: str) -> None:
        self._port = port
        self._topics = [*topics, "end"]
        self._messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._subscribed = threading.Event()
        self.client = mqtt_client()
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = lambda _, __, message: self._messages.put(
            (message.topic, bytes(message.payload))
        )

    def _on_connect(self, *_: object) -> None:
        self.client.subscribe([(topic, 2) for topic in self._topics])

    def __enter__(self) -> Self:
        self.client.connect(HOST, self._port)
        self.client.loop_start()
        self.wait_until_subscribed()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def expect_loss(self) -> None:
        self._subscribed.clear()

    def wait_until_subscribed(self) -> None:
        assert self._subscribed.wait(PATIENCE)

    def get(self) -> tuple[str, bytes]:
        return self._messages.get(timeout=PATIENCE)

    def until_end(self) -> list[tuple[str, bytes]]:
        """Return what came before the message that ends a test."""
        return list(iter(self.get, ("end", b"")))


def mqtt_client() -> Client:
    """Make a client of paho-mqtt that is not connected yet."""
    client = pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt")
    enums = pytest.importorskip("paho.mqtt.enums", reason="needs paho-mqtt")
    made: Client = client.Client(enums.CallbackAPIVersion.VERSION2)
    return made
