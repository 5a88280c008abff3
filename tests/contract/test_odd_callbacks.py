"""Whatever a caller hands over to broadcast: it gets what it is due, or is refused."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from functools import partial
from typing import Any

import pytest

from beryl_groups import Closed, GroupError, Groups, InvalidName, NotFound
from tests.contract.odd import ODD, TOPICS, Hostile, MineError, Sealed, raising


@pytest.fixture
def team(groups: Groups) -> Groups:
    groups.create("team")
    groups.add("team", *TOPICS)
    return groups


ODD_CALLBACKS: list[Any] = [
    raising,
    int,
    type,
    lambda: None,
    lambda topic: None,
    MineError,
    Sealed,
    [].append,
    "".join,
]


@pytest.mark.parametrize("callback", ODD_CALLBACKS)
def test_a_callback_that_takes_something_else_is_one_that_fails(
    team: Groups, caplog: pytest.LogCaptureFixture, callback: Any
) -> None:
    """Each broadcast has its record in the log, and nothing is raised."""
    with team.transaction() as transaction:
        transaction.broadcast(callback, "team", "event", None)
    team.broadcast(callback, "team", "event", None)
    failed = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(failed) == (0 if callback is MineError else 2)


@pytest.mark.parametrize("odd", sorted(ODD))
def test_what_cannot_be_called_is_a_type_error(team: Groups, odd: str) -> None:
    """It is told at the call, in a transaction too, and not once for each topic."""
    callback = ODD[odd]()
    with pytest.raises(TypeError, match="channels is a callable"):
        team.broadcast(callback, "team", "event", None)
    with team.transaction() as transaction, pytest.raises(TypeError, match="a callable"):
        transaction.broadcast(callback, "team", "event", None)


def test_any_payload_and_event_are_handed_over_as_they_are(team: Groups) -> None:
    """Nothing is asked of them: neither to show themselves nor to be compared."""
    received: list[tuple[object, object]] = []
    payload, event = Sealed(), Hostile("event")
    for channels in (lambda *given: received.append(given[1:]), raising):
        logger = logging.getLogger("beryl_groups")
        logger.disabled = True  # to show such an event is for the handlers of the application
        try:
            team.broadcast(channels, "team", event, payload)
        finally:
            logger.disabled = False
    assert len(received) == 2
    assert all(each[0] is event and each[1] is payload for each in received)


def test_a_callback_may_end_what_it_is_called_by(team: Groups) -> None:
    """It deletes the group, begins transactions within and closes the handle: all get theirs."""
    received: list[str] = []

    def ends(topic: str, event: str, payload: object) -> None:
        received.append(topic)
        if topic == "a":
            team.delete("team")
            with team.transaction() as transaction:
                transaction.create("again")
                transaction.broadcast(ends, ["again"], "inner", None)
            team.close()

    with team.transaction() as transaction:
        transaction.broadcast(ends, "team", "event", None)
        transaction.broadcast(ends, "team", "event", None)
    assert received == ["a", "b", "a", "b"]
    with pytest.raises(Closed):
        team.create("late")


def test_a_name_in_an_error_is_no_more_than_text(team: Groups) -> None:
    """An error keeps the plain text, which can be shown wherever the error goes."""
    with pytest.raises(NotFound) as caught:
        team.topics(Hostile("nobody"))
    assert str(caught.value) == "There is no group 'nobody'."
    with pytest.raises(InvalidName) as refused:
        team.create(Hostile("\0"))
    assert "NUL" in str(refused.value)
    assert isinstance(refused.value, GroupError)


async def send(topic: str, event: str, payload: object) -> None:
    pytest.fail("it was called")


class Sender:
    async def __call__(self, topic: str, event: str, payload: object) -> None:
        await send(topic, event, payload)

    async def send(self, topic: str, event: str, payload: object) -> None:
        await send(topic, event, payload)


@pytest.mark.parametrize(
    "callback",
    [
        send,
        Sender(),
        Sender().send,
        partial(send),
        partial(partial(Sender())),
        partial(Sender.send),
    ],
    ids=["function", "object", "method", "partial", "partial of an object", "partial of a method"],
)
def test_an_async_callback_is_refused_at_once(team: Groups, callback: Any) -> None:
    """Nobody would await it: it says so before a topic has its turn, in a transaction too."""
    with pytest.raises(TypeError, match=r"is async.*channels\.from_async, or .*beryl_groups\.aio"):
        team.broadcast(callback, "team", "event", None)
    with team.transaction() as transaction, pytest.raises(TypeError, match="is async"):
        transaction.broadcast(callback, "team", "event", None)


class Awaitable:
    def __await__(self) -> Any:
        pytest.fail("it was awaited")


@pytest.mark.parametrize("make", [send, lambda *_: Awaitable()])
def test_what_a_plain_callback_leaves_to_be_awaited_is_told(
    team: Groups, caplog: pytest.LogCaptureFixture, make: Any
) -> None:
    """It is logged once as a failure of those topics, and is no warning when it is forgotten."""
    received: list[str] = []

    def mixed(topic: str, event: str, payload: object) -> Any:
        received.append(topic)
        return make(topic, event, payload) if topic != "a" else None

    team.add("team", "c", "d")
    team.broadcast(mixed, "team", "event", None)
    gc.collect()
    assert received == ["a", "b", "c", "d"]
    (record,) = caplog.records
    assert "for 3 topics: 'b', 'c', 'd'." in record.getMessage()
    assert record.exc_info
    assert re.search("which nobody awaits here: wrap .*from_async", str(record.exc_info[1]))


def test_a_future_that_a_callback_returns_is_not_waited_for(
    team: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """It is being worked on by others already."""
    done: list[str] = []

    async def note(topic: str) -> None:
        done.append(topic)

    async def main() -> None:
        tasks = []

        def begin(topic: str, event: str, payload: object) -> asyncio.Task[None]:
            tasks.append(asyncio.create_task(note(topic)))
            return tasks[-1]

        team.broadcast(begin, "team", "event", None)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert done == ["a", "b"]
    assert caplog.records == []
