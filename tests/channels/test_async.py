"""Async callbacks in other threads than that of their event loop, Django Channels among them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups.channels import from_async
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from beryl_groups import Groups


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop for the length of the block, unless a test stops it before."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        if loop.is_running():
            loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.run_until_complete(asyncio.sleep(0))  # what was cancelled ends here
        loop.close()


@pytest.fixture
def team(groups: Groups) -> Groups:
    groups.create("team")
    groups.add("team", "room.a", "room.b", "room.c")
    return groups


def test_the_async_callback_runs_on_its_loop_and_is_waited_for(team: Groups) -> None:
    """When the broadcast returns, every topic has had its event, in order, in the loop's thread."""
    events = []
    threads = set()

    async def send(topic: str, event: str, payload: object) -> None:
        await asyncio.sleep(0)
        threads.add(threading.current_thread())
        events.append((topic, event, payload))

    payload = object()
    with loop_in_a_thread() as loop:
        team.broadcast(from_async(send, loop), "team", "e", payload)
        assert events == [(topic, "e", payload) for topic in ("room.a", "room.b", "room.c")]
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_any_awaitable_will_do(team: Groups) -> None:
    """A callback that returns a future of its loop is awaited as well."""
    done = []

    async def note(topic: str) -> None:
        done.append(topic)

    def send(topic: str, event: str, payload: object) -> Awaitable[None]:
        return asyncio.ensure_future(note(topic))

    with loop_in_a_thread() as loop:
        team.broadcast(from_async(send, loop), "team", "e", None)
    assert done == ["room.a", "room.b", "room.c"]


def test_what_the_async_callback_raises_is_logged_for_its_topic(
    team: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors, and being cancelled, come back to the broadcast, and the rest get theirs."""
    done = []

    async def send(topic: str, event: str, payload: object) -> None:
        if topic == "room.a":
            raise OSError("no line")
        if topic == "room.b":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)
        done.append(topic)

    with loop_in_a_thread() as loop:
        team.broadcast(from_async(send, loop), "team", "e", None)
    assert done == ["room.c"]
    first, second = caplog.records
    assert first.exc_info
    assert str(first.exc_info[1]) == "no line"
    assert "'room.a'" in first.getMessage()
    assert "'room.b'" in second.getMessage()


def test_on_the_thread_of_the_loop_it_is_refused(
    team: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """There it would wait for itself: it says so, and nothing hangs."""

    async def send(topic: str, event: str, payload: object) -> None:
        pytest.fail("it was called")

    async def main() -> None:
        channels = from_async(send, asyncio.get_running_loop())
        with pytest.raises(RuntimeError, match="would wait for itself"):
            channels("room.a", "e", None)
        team.broadcast(channels, "team", "e", None)

    asyncio.run(main())
    (record,) = caplog.records
    assert "3 topics" in record.getMessage()


def test_a_loop_of_another_thread_serves_one_that_has_a_loop_itself(team: Groups) -> None:
    """Only the loop's own thread is refused, not every thread with a loop."""
    done = []

    async def send(topic: str, event: str, payload: object) -> None:
        done.append(topic)

    async def main(loop: asyncio.AbstractEventLoop) -> None:
        team.broadcast(from_async(send, loop), "team", "e", None)

    with loop_in_a_thread() as loop:
        asyncio.run(main(loop))
    assert done == ["room.a", "room.b", "room.c"]


def test_a_loop_that_does_not_run_is_refused() -> None:
    """Before it has started, and after it was closed, nobody waits for it."""

    async def send(topic: str, event: str, payload: object) -> None:
        pytest.fail("it was called")

    loop = asyncio.new_event_loop()
    channels = from_async(send, loop)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="does not run"):
            channels("room.a", "e", None)
        loop.close()


def test_a_loop_that_stops_meanwhile_is_not_waited_for() -> None:
    """Whoever waits for an async callback finds out that it will never be done."""

    async def send(topic: str, event: str, payload: object) -> None:
        asyncio.get_running_loop().stop()
        await asyncio.Event().wait()

    with loop_in_a_thread() as loop, pytest.raises(RuntimeError, match="stopped before"):
        from_async(send, loop)("room.a", "e", None)


def test_the_channel_layer_of_django_gets_the_event_for_its_groups(team: Groups) -> None:
    """Topics are the layer's groups: whoever joined one gets the event, and nobody else."""
    layers = pytest.importorskip("channels.layers", reason="needs Django Channels")
    interests = [["room.a"], ["room.a", "room.c"], ["room.z"], []]

    async def main() -> list[list[Any]]:
        layer = layers.InMemoryChannelLayer()

        async def send(topic: str, event: str, payload: Any) -> None:
            message = {"type": "group.event", "event": event, "payload": payload}
            await layer.group_send(topic, message)

        names = []
        for rooms in interests:
            names.append(await layer.new_channel())
            for room in rooms:
                await layer.group_add(room, names[-1])
        bridged = from_async(send, asyncio.get_running_loop())
        await asyncio.to_thread(team.broadcast, bridged, "team", "deploy", {"env": "prod"})
        for name in names:
            await layer.send(name, {"type": "end"})
        return [[message async for message in until_end(layer, name)] for name in names]

    event = {"type": "group.event", "event": "deploy", "payload": {"env": "prod"}}
    assert asyncio.run(main()) == [[event], [event, event], [], []]


async def until_end(layer: Any, name: str) -> Any:
    while (message := await layer.receive(name)) != {"type": "end"}:
        yield message
