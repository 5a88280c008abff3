"""Broadcasts over Socket.IO, through real servers and clients."""

from __future__ import annotations

import queue
import socketserver
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from beryl_groups.channels import from_async, socketio
from tests.channels.servers import HOST, asgi_server
from tests.processes import PATIENCE

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from beryl_groups import Groups

sio = pytest.importorskip("socketio", reason="needs python-socketio")
pytest.importorskip("websocket", reason="needs websocket-client")


class Client:
    """A Socket.IO client that enters rooms and keeps the events that it gets."""

    def __init__(self, url: str, *rooms: str) -> None:
        self._events: queue.Queue[tuple[str, list[Any]]] = queue.Queue()
        self._client = sio.Client(reconnection=False)
        # It would have a thread for each message, and the end could overtake what came before it.
        trigger = self._client.eio._trigger_event
        self._client.eio._trigger_event = lambda *given, **options: trigger(
            *given, **{**options, "run_async": False}
        )
        self._client.on("*", lambda event, *arguments: self._events.put((event, [*arguments])))
        self._client.connect(url, transports=["websocket"], wait_timeout=PATIENCE)
        self._client.call("enter", [*rooms, "end"], timeout=PATIENCE)

    def close(self) -> None:
        self._client.disconnect()

    def until_end(self) -> list[tuple[str, list[Any]]]:
        """Return what came before the event that ends a test."""
        received = []
        while (event := self._events.get(timeout=PATIENCE))[0] != "end":
            received.append(event)
        return received


@contextmanager
def async_server() -> Iterator[tuple[str, Callable[[str, str, Any], None]]]:
    """Run an ``AsyncServer`` on uvicorn, and give its URL and a callback for this thread."""
    server = sio.AsyncServer(async_mode="asgi")

    async def enter(sid: str, rooms: list[str]) -> bool:
        for room in rooms:
            await server.enter_room(sid, room)
        return True

    server.on("enter", enter)
    with asgi_server(sio.ASGIApp(server)) as web:
        yield web.url, from_async(socketio(server), web.loop)


class ThreadingWSGIServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    """One that lends its socket to a WebSocket, as the servers of applications do."""

    server: ThreadingWSGIServer

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if self.parse_request():
            environ: dict[str, Any] = {**self.get_environ(), "wsgi.url_scheme": "http"}
            environ["werkzeug.socket"] = self.connection
            with suppress(ConnectionError):  # which says that the WebSocket has ended
                application = self.server.get_app()
                assert application is not None
                application(environ, lambda *_: pytest.fail("it is no WebSocket"))


@contextmanager
def threaded_server() -> Iterator[tuple[str, Callable[[str, str, Any], None]]]:
    """Run a plain ``Server`` on a server of threads, and give its URL and a callback."""
    server = sio.Server(async_mode="threading")

    def enter(sid: str, rooms: list[str]) -> bool:
        for room in rooms:
            server.enter_room(sid, room)
        return True

    server.on("enter", enter)
    with ThreadingWSGIServer((HOST, 0), Handler) as web:
        web.set_app(sio.WSGIApp(server))
        thread = threading.Thread(target=web.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://{HOST}:{web.server_port}", socketio(server)
        finally:
            web.shutdown()
            thread.join()


@pytest.fixture(params=[async_server, threaded_server], ids=["async", "threaded"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[..., None]]]:
    with request.param() as url_and_channels:
        yield url_and_channels


@pytest.fixture
def teams(groups: Groups) -> Groups:
    """Two groups that share a topic, and a topic that is in neither."""
    groups.create("design")
    groups.add("design", "room:ä", "room:b")
    groups.create("build")
    groups.add("build", "room:b", "room:z")
    return groups


def test_the_clients_in_the_rooms_of_a_groups_topics_get_the_event_once_and_no_others(
    teams: Groups, served: tuple[str, Callable[[str, str, Any], None]]
) -> None:
    """Each client gets the event for each of its rooms that is a topic, and for nothing else."""
    url, channels = served
    interests = [["room:ä"], ["room:b"], ["room:b", "room:ä"], ["room:z"], []]
    payload = {"env": ["prod", None, "é"]}
    with ExitStack() as stack:
        clients = [Client(url, *rooms) for rooms in interests]
        for client in clients:
            stack.callback(client.close)
        teams.broadcast(channels, "design", "deploy", payload)
        channels("end", "end", None)
        received = [client.until_end() for client in clients]

    event = ("deploy", [payload])
    assert received == [[event], [event], [event, event], [], []]


def test_payloads_arrive_as_socketio_sends_them(
    teams: Groups, served: tuple[str, Callable[[str, str, Any], None]]
) -> None:
    """``None`` is no argument, a tuple is several, and bytes stay bytes."""
    url, channels = served
    client = Client(url, "room:z")
    for payload in (None, ("a", 1), b"\0\xff", [1, 2]):
        teams.broadcast(channels, "build", "e", payload)
    channels("end", "end", None)
    received = [arguments for _, arguments in client.until_end()]
    client.close()

    assert received == [[], ["a", 1], [b"\0\xff"], [[1, 2]]]


def test_a_payload_that_json_cannot_carry_is_logged(
    teams: Groups,
    served: tuple[str, Callable[[str, str, Any], None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is the same failure of each topic, and nothing is sent."""
    url, channels = served
    client = Client(url, "room:ä", "room:b")
    teams.broadcast(channels, "design", "e", object())
    channels("end", "end", None)
    assert client.until_end() == []
    client.close()

    (record,) = caplog.records
    assert isinstance(error(record), TypeError)
    assert "2 topics" in record.getMessage()


def error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None
