"""Broadcasts over peers that are slow or gone: several callbacks at a time, none for too long."""

from __future__ import annotations

import asyncio
import decimal
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups import aio, channels
from tests.aio.loops import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups
    from tests.aio.loops import Run

NUMBER = 100
TOPICS = [f"room:{number:02}" for number in range(NUMBER)]


def with_crowd(run: Run, path: Path, test: Callable[[AsyncGroups], Awaitable[None]]) -> None:
    """Run a test with a handle on a group of a hundred topics; no task may be left after it."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("crowd")
            await groups.add("crowd", *TOPICS)
            await test(groups)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def unwanted(*_: object) -> None:
    pytest.fail("it was called")


class Callback:
    """An async callback that keeps count of the calls that are under way."""

    def __init__(self, hangs: str | None = None) -> None:
        self.hangs = hangs
        self.begun: list[str] = []
        self.done: list[str] = []
        self.under_way = self.most = 0

    async def __call__(self, topic: str, event: str, payload: object) -> None:
        self.begun.append(topic)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if topic == self.hangs:
                await asyncio.Event().wait()
            await asyncio.sleep(0.001)
            self.done.append(topic)
        finally:
            self.under_way -= 1


@pytest.mark.parametrize("concurrency", [1, 7, NUMBER, 10**6])
def test_at_most_so_many_callbacks_run_at_a_time(run: Run, path: Path, concurrency: int) -> None:
    """They begin in the order of the topics, and the broadcast returns after the last has ended."""

    async def test(groups: AsyncGroups) -> None:
        callback = Callback()
        await groups.broadcast(callback, "crowd", "e", None, concurrency=concurrency)
        assert callback.begun == TOPICS
        assert sorted(callback.done) == TOPICS
        assert (callback.most, callback.under_way) == (min(concurrency, NUMBER), 0)

    with_crowd(run, path, test)


def test_a_plain_callback_is_called_for_each_topic_whatever_the_pace(run: Run, path: Path) -> None:
    """What needs no waiting is done in order."""

    async def test(groups: AsyncGroups) -> None:
        got: list[str] = []
        await groups.broadcast(
            lambda topic, *_: got.append(topic), "crowd", "e", None, concurrency=5, timeout=1
        )
        assert got == TOPICS

    with_crowd(run, path, test)


def test_there_are_no_more_tasks_than_callbacks_at_a_time(path: Path) -> None:
    """A group of 20,000 topics does not cost 20,000 tasks."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("many")
            await groups.add("many", *map(str, range(20_000)))
            most = 0

            async def send(topic: str, event: str, payload: object) -> None:
                nonlocal most
                if topic.endswith("000"):
                    most = max(most, len(asyncio.all_tasks()))
                await asyncio.sleep(0)

            await groups.broadcast(send, "many", "e", None, concurrency=8)
            assert 8 <= most <= 9

    asyncio.run(main())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_callback_that_is_late_is_cancelled_and_logged_and_the_rest_get_theirs(
    run: Run, path: Path, caplog: pytest.LogCaptureFixture, concurrency: int
) -> None:
    """One peer that hangs does not keep the event from 99 others."""

    async def test(groups: AsyncGroups) -> None:
        callback = Callback(hangs=TOPICS[1])
        await groups.broadcast(callback, "crowd", "e", None, concurrency=concurrency, timeout=0.3)
        assert sorted(callback.done) == [TOPICS[0], *TOPICS[2:]]
        assert callback.under_way == 0

    with_crowd(run, path, test)
    (record,) = [record for record in caplog.records if record.name == "beryl_groups"]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "Broadcast of the event 'e' of the group 'crowd' to the topic 'room:01' failed."
    )
    assert record.exc_info
    assert repr(record.exc_info[1]) == "TimeoutError('The callback took longer than 0.3 s.')"


@pytest.mark.parametrize("way", ["returns", "raises"])
def test_a_callback_that_keeps_its_lateness_to_itself_is_late_all_the_same(
    run: Run, path: Path, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """To catch the cancellation and return, or to raise something else, does not hide it."""

    async def test(groups: AsyncGroups) -> None:
        async def send(topic: str, event: str, payload: object) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if way == "raises":
                    raise LookupError from None

        await groups.set_topics("crowd", TOPICS[:2])
        await groups.broadcast(send, "crowd", "e", None, timeout=0.01)

    with_crowd(run, path, test)
    (record,) = caplog.records
    assert record.exc_info
    assert isinstance(record.exc_info[1], TimeoutError)
    assert "2 topics" in record.getMessage()


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("way", ["plain", "async", "future", "after a cancellation"])
def test_a_cancelled_error_of_nobody_is_a_failure_of_its_topic(
    run: Run, path: Path, caplog: pytest.LogCaptureFixture, way: str, concurrency: int
) -> None:
    """A peer that went away ends no broadcast, even in a task that was once cancelled."""

    async def test(groups: AsyncGroups) -> None:
        got: list[str] = []
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()

        def plain(topic: str, event: str, payload: object) -> Any:
            if topic == TOPICS[1]:
                if way == "future":
                    return gone
                raise asyncio.CancelledError
            got.append(topic)
            return None

        async def waits(topic: str, event: str, payload: object) -> None:
            await asyncio.sleep(0)
            plain(topic, event, payload)

        if way == "after a cancellation":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(0)
        send = waits if way in {"async", "after a cancellation"} else plain
        await groups.broadcast(send, "crowd", "e", None, concurrency=concurrency, timeout=60)
        assert got == [TOPICS[0], *TOPICS[2:]]

    with_crowd(run, path, test)
    (record,) = caplog.records
    assert "'room:01'" in record.getMessage()
    assert record.exc_info
    assert isinstance(record.exc_info[1], asyncio.CancelledError)


@pytest.mark.parametrize("concurrency", [2, 3])
@pytest.mark.parametrize("timeout", [None, 60.0])
@pytest.mark.parametrize("way", ["time limit", "lets it through", "returns at once", "plain"])
def test_a_callback_that_cancels_its_own_task_fails_for_its_topic_alone(
    run: Run,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    way: str,
    timeout: float | None,
    concurrency: int,
) -> None:
    """As time limits made by hand do: all others get theirs, and the caller is not cancelled."""

    async def test(groups: AsyncGroups) -> None:
        got: list[str] = []

        def cancel() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

        def plain(topic: str, event: str, payload: object) -> None:
            if topic in TOPICS[1:3]:
                cancel()
            else:
                got.append(topic)

        async def send(topic: str, event: str, payload: object) -> None:
            plain(topic, event, payload)
            if way != "returns at once" or topic not in TOPICS[1:3]:
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    if way == "time limit":
                        raise TimeoutError from None
                    raise

        callback = plain if way == "plain" else send
        await groups.broadcast(
            callback, "crowd", "e", None, concurrency=concurrency, timeout=timeout
        )
        assert got == [TOPICS[0], *TOPICS[3:]]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    with_crowd(run, path, test)
    (record,) = caplog.records
    assert "2 topics" in record.getMessage()
    assert record.exc_info
    kind = TimeoutError if way == "time limit" else asyncio.CancelledError
    assert isinstance(record.exc_info[1], kind)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("timeout", [None, 60.0])
@pytest.mark.parametrize("way", ["lets it through", "returns", "raises"])
def test_a_real_cancellation_ends_the_broadcast(
    run: Run, path: Path, concurrency: int, timeout: float | None, way: str
) -> None:
    """It passes through at once, whatever the callback does with it, and no task is left."""

    async def test(groups: AsyncGroups) -> None:
        begun: list[str] = []

        async def send(topic: str, event: str, payload: object) -> None:
            begun.append(topic)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if way == "lets it through":
                    raise
                if way == "raises":
                    raise OSError from None

        broadcast = asyncio.create_task(
            groups.broadcast(send, "crowd", "e", None, concurrency=concurrency, timeout=timeout)
        )
        await until(lambda: len(begun) == concurrency)
        broadcast.cancel()
        with pytest.raises(asyncio.CancelledError):
            await broadcast
        assert begun == TOPICS[:concurrency]
        await groups.create("the handle goes on")

    with_crowd(run, path, test)


def test_a_time_limit_of_the_caller_ends_the_broadcast(run: Run, path: Path) -> None:
    """``asyncio.timeout`` around it is a real cancellation, and comes out as its own error."""

    async def test(groups: AsyncGroups) -> None:
        callback = Callback(hangs=TOPICS[3])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await groups.broadcast(callback, "crowd", "e", None, timeout=60)
        assert callback.done == TOPICS[:3]

    with_crowd(run, path, test)


def test_what_had_failed_when_a_broadcast_is_cancelled_is_logged(
    run: Run, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log of what failed does not depend on how the broadcast ends."""

    async def test(groups: AsyncGroups) -> None:
        async def send(topic: str, event: str, payload: object) -> None:
            if topic != TOPICS[5]:
                raise OSError("away")
            await asyncio.Event().wait()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await groups.broadcast(send, "crowd", "e", None)

    with_crowd(run, path, test)
    (record,) = caplog.records
    assert "5 topics" in record.getMessage()


@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_broadcast_through_a_loop_that_has_ended_is_over(
    run: Run, path: Path, caplog: pytest.LogCaptureFixture, concurrency: int
) -> None:
    """What would have to run on another loop ends with that, and the log says so once."""

    async def test(groups: AsyncGroups) -> None:
        other = asyncio.new_event_loop()
        other.close()
        bridged = channels.from_async(unwanted, other)
        await groups.broadcast(
            lambda *event: asyncio.to_thread(bridged, *event),
            "crowd",
            "e",
            None,
            concurrency=concurrency,
        )

    with_crowd(run, path, test)
    (record,) = caplog.records
    assert record.getMessage().endswith(": 100 of 100 topics did not get the event.")


@pytest.mark.parametrize("concurrency", [1, 5])
def test_the_same_failure_is_logged_once(
    run: Run, path: Path, caplog: pytest.LogCaptureFixture, concurrency: int
) -> None:
    """As by a plain handle, whatever the pace."""

    async def test(groups: AsyncGroups) -> None:
        async def send(topic: str, event: str, payload: object) -> None:
            await asyncio.sleep(0)
            raise OSError(f"no line to {topic}")

        await groups.broadcast(send, "crowd", "e", None, concurrency=concurrency)

    with_crowd(run, path, test)
    (record,) = caplog.records
    assert record.getMessage() == (
        "Broadcast of the event 'e' of the group 'crowd' failed in the same way for 100 topics: "
        "'room:00', 'room:01', 'room:02' and 97 more."
    )


def test_a_transaction_keeps_the_pace_for_its_broadcasts(
    run: Run, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it delivers after the commit runs side by side, and not for too long."""

    async def test(groups: AsyncGroups) -> None:
        callback = Callback(hangs=TOPICS[1])
        async with groups.transaction() as transaction:
            await transaction.broadcast(callback, "crowd", "e", None, concurrency=4, timeout=0.3)
            assert not callback.begun
        assert callback.most == 4
        assert sorted(callback.done) == [TOPICS[0], *TOPICS[2:]]

    with_crowd(run, path, test)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "pace",
    [
        {"concurrency": 1.0},
        {"concurrency": True},
        {"concurrency": "2"},
        {"concurrency": None},
        {"timeout": "1"},
        {"timeout": True},
        {"timeout": 1j},
        {"timeout": []},
    ],
    ids=str,
)
def test_a_pace_that_is_no_number_is_a_type_error(path: Path, pace: dict[str, Any]) -> None:
    """It is told at the call, in a transaction too, and nobody gets anything."""

    async def test(groups: AsyncGroups) -> None:
        (name,) = pace
        with pytest.raises(TypeError, match=rf"^{name} is a (whole )?number.*, not .*\.$"):
            await groups.broadcast(unwanted, "crowd", "e", None, **pace)
        async with groups.transaction() as transaction:
            with pytest.raises(TypeError, match=name):
                await transaction.broadcast(unwanted, "crowd", "e", None, **pace)

    with_crowd(asyncio.run, path, test)


@pytest.mark.parametrize(
    "pace",
    [{"concurrency": 0}, {"concurrency": -1}, *({"timeout": n} for n in (0, -1, 0.0, math.nan))],
    ids=str,
)
def test_a_pace_out_of_bounds_is_a_value_error(path: Path, pace: dict[str, Any]) -> None:
    """The sentence says what is in bounds, and what was given."""

    async def test(groups: AsyncGroups) -> None:
        (name,) = pace
        with pytest.raises(ValueError, match=rf"^{name} is .*, not (-?[01.]+|nan)\.$"):
            await groups.broadcast(unwanted, "crowd", "e", None, **pace)

    with_crowd(asyncio.run, path, test)


@pytest.mark.parametrize("timeout", [1, decimal.Decimal("1.5"), math.inf, 10**400, 1e300], ids=str)
def test_a_timeout_may_be_any_kind_of_number(run: Run, path: Path, timeout: Any) -> None:
    """Whatever can be compared with numbers and is above 0, however much that is."""

    async def test(groups: AsyncGroups) -> None:
        callback = Callback()
        await groups.broadcast(callback, "crowd", "e", None, timeout=timeout, concurrency=NUMBER)
        assert len(callback.done) == NUMBER

    with_crowd(run, path, test)
