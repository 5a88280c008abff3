"""Phoenix frames, over real WebSockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups.channels import from_async, phoenix
from tests.channels.servers import HOST
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.client import ClientConnection
    from websockets.sync.server import ServerConnection

    from beryl_groups import Groups

websockets_client = pytest.importorskip("websockets.sync.client", reason="needs websockets")
websockets_server = pytest.importorskip("websockets.sync.server", reason="needs websockets")


class Sockets:
    """The sockets that have joined a topic, as a Phoenix client joins it."""

    def __init__(self) -> None:
        self._joined: defaultdict[str, list[ServerConnection]] = defaultdict(list)

    def serve(self, socket: ServerConnection) -> None:
        for text in socket:
            join_ref, ref, topic, event, _ = json.loads(text)
            assert event == "phx_join"
            self._joined[topic].append(socket)
            reply = {"status": "ok", "response": {}}
            socket.send(json.dumps([join_ref, ref, topic, "phx_reply", reply]))

    def send(self, topic: str, text: str) -> None:
        for socket in self._joined[topic]:
            socket.send(text)


@pytest.fixture
def served() -> Iterator[tuple[str, Sockets]]:
    sockets = Sockets()
    with websockets_server.serve(sockets.serve, HOST, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://{HOST}:{server.socket.getsockname()[1]}", sockets
        server.shutdown()
        thread.join(PATIENCE)


@contextmanager
def client(url: str, *topics: str) -> Iterator[Callable[[], list[Any]]]:
    """Join the topics, and give a function that returns the frames up to that which ends."""
    socket: ClientConnection
    with websockets_client.connect(url) as socket:
        for ref, topic in enumerate([*topics, "end"]):
            socket.send(json.dumps([str(ref), str(ref), topic, "phx_join", {}]))
            assert json.loads(socket.recv(PATIENCE))[3] == "phx_reply"

        def until_end() -> list[Any]:
            frames = iter(lambda: json.loads(socket.recv(PATIENCE)), END)
            return list(frames)

        yield until_end


END: list[Any] = [None, None, "end", "end", {}]


@pytest.fixture
def teams(groups: Groups) -> Groups:
    """Two groups that share a topic, and a topic that is in neither."""
    groups.create("design")
    groups.add("design", "room:ä", "room:b")
    groups.create("build")
    groups.add("build", "room:b", "room:z")
    return groups


PAYLOAD = {"env": ["prod", None, "é"]}
INTERESTS = [["room:ä"], ["room:b"], ["room:b", "room:ä"], ["room:z"], []]
A = [None, None, "room:ä", "deploy", PAYLOAD]
B = [None, None, "room:b", "deploy", PAYLOAD]
EXPECTED = [[A], [B], [B, A], [], []]


def test_the_sockets_that_joined_a_groups_topics_get_the_frame_once_and_no_others(
    teams: Groups, served: tuple[str, Sockets]
) -> None:
    """Each socket gets a frame for each topic that it joined, and for nothing else."""
    url, sockets = served
    push = phoenix(sockets.send)
    with ExitStack() as stack:
        clients = [stack.enter_context(client(url, *topics)) for topics in INTERESTS]
        teams.broadcast(push, "design", "deploy", PAYLOAD)
        push("end", "end", {})
        assert [until_end() for until_end in clients] == EXPECTED


def test_an_async_send_gives_an_async_callback(teams: Groups, served: tuple[str, Sockets]) -> None:
    """It sends the same frames, from its event loop or, bridged, from other threads."""
    url, sockets = served

    async def send(topic: str, text: str) -> None:
        await asyncio.to_thread(sockets.send, topic, text)

    async def main() -> None:
        push = phoenix(send)
        bridged = from_async(push, asyncio.get_running_loop())
        await asyncio.to_thread(teams.broadcast, bridged, "design", "deploy", PAYLOAD)
        await push("end", "end", {})

    with ExitStack() as stack:
        clients = [stack.enter_context(client(url, *topics)) for topics in INTERESTS]
        asyncio.run(main())
        assert [until_end() for until_end in clients] == EXPECTED


@pytest.mark.parametrize("payload", [object(), float("nan"), "\ud800"])
def test_a_payload_that_json_cannot_carry_is_logged(
    teams: Groups, served: tuple[str, Sockets], caplog: pytest.LogCaptureFixture, payload: object
) -> None:
    """It is the same failure of each topic, and nothing is sent."""
    url, sockets = served
    push = phoenix(sockets.send)
    with client(url, "room:ä", "room:b") as until_end:
        teams.broadcast(push, "design", "e", payload)
        push("end", "end", {})
        assert until_end() == []
    (record,) = caplog.records
    assert "2 topics" in record.getMessage()


def test_a_socket_that_is_gone_is_logged_for_its_topic(
    teams: Groups, served: tuple[str, Sockets], caplog: pytest.LogCaptureFixture
) -> None:
    """What ``send`` raises keeps the frame from no other topic."""
    url, sockets = served
    push = phoenix(sockets.send)
    with client(url, "room:b") as until_end:
        with client(url, "room:ä"):
            pass
        (gone,) = sockets._joined["room:ä"]
        gone.close()
        teams.broadcast(push, "design", "deploy", PAYLOAD)
        sockets._joined["end"].remove(gone)
        push("end", "end", {})
        assert until_end() == [B]
    (record,) = caplog.records
    assert "'room:ä'" in record.getMessage()
