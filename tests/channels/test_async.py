"""Async callbacks in other threads than that of their event loop, Django Channels among them."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups.channels import from_async
from tests.aio.loops import until
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from beryl_groups import Groups
    from tests.aio.loops import Run


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


MANY = 1000


@pytest.fixture
def crowd(groups: Groups) -> Groups:
    groups.create("crowd")
    groups.add("crowd", *(f"room.{number:03}" for number in range(MANY)))
    return groups


def only_told_is_the_end(caplog: pytest.LogCaptureFixture, got: list[str]) -> bool:
    """Tell whether the log has one record, which says how many did not get the event."""
    (record,) = caplog.records
    assert record.getMessage() == (
        "Broadcast of the event 'e' of the group 'crowd' ended with the event loop of its "
        f"callback: {MANY - len(got):,} of 1,000 topics did not get the event."
    )
    return True


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("in_pool", [False, True])
def test_a_broadcast_ends_with_its_loop(
    crowd: Groups, run: Run, caplog: pytest.LogCaptureFixture, in_pool: bool, hangs: bool
) -> None:
    """A program whose loop ends waits for the rest of no broadcast; the log has one record."""
    got: list[str] = []

    async def send(topic: str, event: str, payload: object) -> None:
        if hangs and len(got) == 3:
            await asyncio.Event().wait()
        await asyncio.sleep(0.001)
        got.append(topic)

    threads: list[threading.Thread] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        channels = from_async(send, loop)
        if in_pool:
            loop.run_in_executor(None, crowd.broadcast, channels, "crowd", "e", None)
        else:
            work = threading.Thread(target=crowd.broadcast, args=(channels, "crowd", "e", None))
            work.start()
            threads.append(work)
        await until(lambda: len(got) >= 3)

    run(main())
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert 3 <= len(got) < MANY
    assert only_told_is_the_end(caplog, got)


def test_what_begins_while_a_loop_ends_is_counted_and_left_nowhere(
    crowd: Groups, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """A topic whose turn comes when tasks have been cancelled is served or counted as not."""
    got: list[str] = []

    async def send(topic: str, event: str, payload: object) -> None:
        await asyncio.sleep(0.001)
        got.append(topic)

    async def main() -> None:
        channels = from_async(send, asyncio.get_running_loop())
        work = threading.Thread(target=crowd.broadcast, args=(channels, "crowd", "e", None))
        threads.append(work)

        async def begin_when_cancelled() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                work.start()
                await until(lambda: len(got) >= 3)

        tasks.append(asyncio.create_task(begin_when_cancelled()))
        await asyncio.sleep(0)

    threads: list[threading.Thread] = []
    tasks: list[asyncio.Task[None]] = []
    run(main())
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    tasks.clear()
    gc.collect()  # a task that was forgotten would be logged
    assert 3 <= len(got) < MANY
    assert only_told_is_the_end(caplog, got)


def test_ctrl_c_ends_a_broadcast_in_a_thread_with_its_loop(
    crowd: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop that it interrupts is not kept running by the thread that sends through it."""
    got: list[str] = []

    async def send(topic: str, event: str, payload: object) -> None:
        if len(got) == 3:
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        got.append(topic)

    async def main() -> None:
        channels = from_async(send, asyncio.get_running_loop())
        await asyncio.to_thread(crowd.broadcast, channels, "crowd", "e", None)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert len(got) == 3
    assert only_told_is_the_end(caplog, got)


@pytest.mark.parametrize("moment", ["never started", "stopped", "closed"])
def test_a_broadcast_to_a_loop_that_does_not_run_is_over_at_once(
    crowd: Groups, caplog: pytest.LogCaptureFixture, moment: str
) -> None:
    """Nobody gets the event, and the log says so once."""
    loop = asyncio.new_event_loop()
    channels = from_async(unwanted, loop)
    if moment != "never started":
        loop.run_until_complete(asyncio.sleep(0))
    if moment == "closed":
        loop.close()
    crowd.broadcast(channels, "crowd", "e", None)
    with crowd.transaction() as transaction:
        transaction.broadcast(channels, "crowd", "e", None)
    assert len(caplog.records) == 2
    del caplog.records[1]
    assert only_told_is_the_end(caplog, [])
    loop.close()


def test_a_broadcast_ends_with_a_loop_that_is_stopped(
    crowd: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop that is stopped in the middle, and cancels nothing, serves no other topic."""
    got: list[str] = []

    async def send(topic: str, event: str, payload: object) -> None:
        if len(got) == 3:
            asyncio.get_running_loop().stop()
            await asyncio.sleep(0)
        got.append(topic)

    with loop_in_a_thread() as loop:
        crowd.broadcast(from_async(send, loop), "crowd", "e", None)
        assert len(got) == 3
        assert only_told_is_the_end(caplog, got)


async def unwanted(*_: object) -> None:
    pytest.fail("it was called")


def test_a_cancelled_error_of_nobody_is_a_failure_with_its_traceback(
    team: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """A peer that went away ends neither the broadcast nor the trace of where it was."""

    def peer_is_gone() -> None:
        raise asyncio.CancelledError

    async def send(topic: str, event: str, payload: object) -> None:
        await asyncio.sleep(0)
        peer_is_gone()

    with loop_in_a_thread() as loop:
        team.broadcast(from_async(send, loop), "team", "e", None)
    (record,) = caplog.records
    assert "3 topics" in record.getMessage()
    assert "in peer_is_gone" in logging.Formatter().format(record)


def test_a_plain_callback_runs_on_the_loop(team: Groups) -> None:
    """Where nothing is to be awaited, it is still called in the thread of the loop."""
    threads: list[threading.Thread] = []
    with loop_in_a_thread() as loop:
        plain = from_async(lambda *_: threads.append(threading.current_thread()), loop)
        team.broadcast(plain, "team", "e", None)
    assert len(threads) == 3
    assert threading.current_thread() not in threads


def test_what_is_no_callback_or_no_loop_is_refused() -> None:
    """It is told where the mistake is made, and not for each topic."""
    loop = asyncio.new_event_loop()
    with pytest.raises(TypeError, match="channels is a callable"):
        from_async("send", loop)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^loop is an event loop of asyncio, not None"):
        from_async(unwanted, None)  # type: ignore[arg-type]
    loop.close()


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
