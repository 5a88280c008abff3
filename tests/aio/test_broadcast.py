"""Broadcasts of async handles: plain and async callbacks, and what a failing one does not spoil."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from beryl_groups import aio, channels

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from beryl_groups.aio import AsyncGroups


def with_team(database: str, test: Callable[[AsyncGroups], Awaitable[None]]) -> None:
    """Run a test with a handle on two groups that share a topic."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await groups.create("design")
            await groups.add("design", "room:ä", "room:b", "room:A", "room:😀", "room:\uffff")
            await groups.create("build")
            await groups.add("build", "room:b", "room:z")
            await test(groups)

    asyncio.run(main())


def test_plain_and_async_callbacks_get_the_same(database: str) -> None:
    """Each topic once, in code point order, with the payload itself, in the same task."""

    async def test(groups: AsyncGroups) -> None:
        payload, task = object(), asyncio.current_task()
        got: list[tuple[str, str, object]] = []

        def plain(*event: object) -> None:
            assert asyncio.current_task() is task
            got.append(event)  # type: ignore[arg-type]

        async def waits(*event: object) -> None:
            await asyncio.sleep(0)
            plain(*event)

        class Caller:
            async def __call__(self, *event: object) -> None:
                await waits(*event)

        def future(*event: object) -> asyncio.Task[None]:
            return asyncio.ensure_future(_later(event))

        async def _later(event: tuple[object, ...]) -> None:
            got.append(event)  # type: ignore[arg-type]

        for callback in (plain, waits, Caller(), future):
            got.clear()
            await groups.broadcast(callback, ["design", "build"], "e", payload, exclude=["room:z"])
            expected = sorted(await groups.topics("design"))
            assert got == [(topic, "e", payload) for topic in expected]

    with_team(database, test)


def test_an_async_callback_ends_before_the_next_topic(database: str) -> None:
    """Callbacks do not overlap, and the broadcast returns after the last."""

    async def test(groups: AsyncGroups) -> None:
        running = 0
        done: list[str] = []

        async def send(topic: str, event: str, payload: object) -> None:
            nonlocal running
            running += 1
            assert running == 1
            await asyncio.sleep(0.001)
            running -= 1
            done.append(topic)

        await groups.broadcast(send, "build", "e", None)
        assert done == ["room:b", "room:z"]

    with_team(database, test)


def test_a_callback_may_use_the_handle(database: str) -> None:
    """For reads, writes, transactions and broadcasts; the topics are those of the call."""

    async def test(groups: AsyncGroups) -> None:
        got: list[str] = []

        async def send(topic: str, event: str, payload: object) -> None:
            got.append(f"{event} {topic}")
            if event == "outer":
                await groups.add("build", f"{topic}:new")
                await groups.broadcast(send, "build", f"inner of {topic}", None)
                async with groups.transaction() as transaction:
                    await transaction.remove("build", f"{topic}:new")

        await groups.broadcast(send, "build", "outer", None)
        assert got == [
            "outer room:b",
            *(f"inner of room:b {topic}" for topic in ("room:b", "room:b:new", "room:z")),
            "outer room:z",
            *(f"inner of room:z {topic}" for topic in ("room:b", "room:z", "room:z:new")),
        ]
        assert await groups.topics("build") == {"room:b", "room:z"}

    with_team(database, test)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_callback_that_fails_is_logged_and_the_rest_get_the_event(
    database: str, caplog: pytest.LogCaptureFixture, is_async: bool
) -> None:
    """With its traceback, the group, the topic and the event, as a plain handle does."""

    async def test(groups: AsyncGroups) -> None:
        got: list[str] = []

        def plain(topic: str, event: str, payload: object) -> None:
            if topic == "room:b":
                raise OSError("no line")
            got.append(topic)

        async def waits(topic: str, event: str, payload: object) -> None:
            await asyncio.sleep(0)
            plain(topic, event, payload)

        await groups.broadcast(waits if is_async else plain, ("build", "design"), "e", None)
        assert got == sorted({*await groups.topics("design"), "room:z"} - {"room:b"})

    with_team(database, test)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("beryl_groups", logging.ERROR)
    assert record.exc_info
    assert str(record.exc_info[1]) == "no line"
    assert record.getMessage() == (
        "Broadcast of the event 'e' of the group 'build', 'design' to the topic 'room:b' failed."
    )


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_passes_through(
    database: str, caplog: pytest.LogCaptureFixture, kind: type[BaseException], concurrency: int
) -> None:
    """It ends the broadcast, reaches the caller, and is not logged."""
    got: list[str] = []

    async def send(topic: str, event: str, payload: object) -> None:
        got.append(topic)
        raise kind

    async def test(groups: AsyncGroups) -> None:
        await groups.broadcast(send, "build", "e", None, concurrency=concurrency)

    with pytest.raises(kind):
        with_team(database, test)
    assert got in (["room:b"], ["room:b", "room:z"][:concurrency])
    assert not [record for record in caplog.records if record.name == "beryl_groups"]


def test_a_group_that_does_not_exist_is_silently_nothing(database: str) -> None:
    """To broadcast to no group, or to a group without topics, calls nothing."""

    async def test(groups: AsyncGroups) -> None:
        await groups.create("empty")
        for group in ("nobody", "empty", [], ["nobody", "empty"]):
            await groups.broadcast(pytest.fail, group, "e", None)  # type: ignore[arg-type]

    with_team(database, test)


def test_the_async_callbacks_of_channels_need_no_bridge(database: str) -> None:
    """What `socketio` and `phoenix` make for an async server is awaited as it is."""

    async def test(groups: AsyncGroups) -> None:
        frames: list[str] = []

        async def push(topic: str, text: str) -> None:
            await asyncio.sleep(0)
            frames.append(f"{topic} {text}")

        await groups.broadcast(channels.phoenix(push), "build", "e", 1)
        assert frames == [
            'room:b [null, null, "room:b", "e", 1]',
            'room:z [null, null, "room:z", "e", 1]',
        ]

    with_team(database, test)


def test_a_callback_of_another_thread_of_a_pool_is_awaited(database: str) -> None:
    """A plain callback that blocks is handed to a thread by ``asyncio.to_thread``, and awaited."""

    async def test(groups: AsyncGroups) -> None:
        got: list[str] = []

        def blocking(topic: str) -> None:
            got.append(topic)

        await groups.broadcast(
            lambda topic, event, payload: asyncio.to_thread(blocking, topic), "build", "e", None
        )
        assert got == ["room:b", "room:z"]

    with_team(database, test)
