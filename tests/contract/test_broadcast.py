"""Broadcast: who gets the event, in which order, and what a failing callback does not spoil."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Closed, Groups

if TYPE_CHECKING:
    from collections.abc import Iterator


class Inbox:
    """A callback that keeps what it was called with."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, Any]] = []

    def __call__(self, topic: str, event: str, payload: object) -> None:
        self.events.append((topic, event, payload))

    @property
    def topics(self) -> list[str]:
        return [topic for topic, _, _ in self.events]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def team(groups: Groups) -> Groups:
    """A handle with two groups that share a topic."""
    groups.create("design")
    groups.add("design", "room:ä", "room:b", "room:A", "room:😀", "room:\uffff")
    groups.create("build")
    groups.add("build", "room:b", "room:z")
    return groups


def test_each_topic_gets_the_event_once_in_code_point_order(team: Groups, inbox: Inbox) -> None:
    """One call of the callback for each topic, ordered as ``sorted`` orders them."""
    payload = {"env": ["prod"]}
    team.broadcast(inbox, "design", "deploy", payload)
    assert inbox.topics == sorted(team.topics("design"))
    assert all(event == "deploy" and given is payload for _, event, given in inbox.events)


def test_the_payload_is_handed_over_as_it_is(team: Groups, inbox: Inbox) -> None:
    """Any object may be a payload, and every topic gets that object itself."""
    payload = object()
    team.broadcast(inbox, "build", "e", payload)
    with team.transaction() as transaction:
        transaction.broadcast(inbox, "build", "e", payload)
    assert len(inbox.events) == 4
    assert all(given is payload for _, _, given in inbox.events)


def test_a_group_that_does_not_exist_is_silently_nothing(team: Groups, inbox: Inbox) -> None:
    """To broadcast to no group, or to a group without topics, calls nothing and raises nothing."""
    team.create("empty")
    for group in ("nobody", "empty", [], ["nobody", "empty"]):
        team.broadcast(inbox, group, "e", None)
    assert inbox.events == []


def test_several_groups_are_one_union(team: Groups, inbox: Inbox) -> None:
    """A topic that is in more than one of the groups gets the event once."""
    team.broadcast(inbox, (name for name in ("build", "design", "nobody", "build")), "e", None)
    assert inbox.topics == sorted(team.topics("design") | team.topics("build"))


def test_excluded_topics_are_left_out(team: Groups, inbox: Inbox) -> None:
    """``exclude`` takes any iterable of topics, those that are in no group too."""
    team.broadcast(inbox, "design", "e", None, exclude=iter(["room:b", "room:A", "room:?"]))
    assert inbox.topics == ["room:ä", "room:\uffff", "room:😀"]


def test_what_cannot_be_called_is_refused(team: Groups) -> None:
    """A callback that is none is a mistake of the caller, not a failure of each topic."""
    with pytest.raises(TypeError, match="channels is a callable"):
        team.broadcast("print", "design", "e", None)  # type: ignore[arg-type]


def test_a_failing_callback_is_logged_and_the_rest_get_theirs(
    team: Groups, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is a record with its traceback, naming group, topic and event."""

    def flaky(topic: str, event: str, payload: object) -> None:
        if topic == "room:b":
            raise RuntimeError("no line")
        inbox(topic, event, payload)

    team.broadcast(flaky, "design", "deploy", None)
    assert inbox.topics == ["room:A", "room:ä", "room:\uffff", "room:😀"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("beryl_groups", logging.ERROR)
    assert record.getMessage() == (
        "Broadcast of the event 'deploy' of the group 'design' to the topic 'room:b' failed."
    )
    assert record.exc_info
    assert str(record.exc_info[1]) == "no line"
    assert record.exc_info[2] is not None


def test_a_failure_in_a_union_names_all_the_groups(
    team: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """The record of a broadcast to several groups names each of them."""

    def broken(topic: str, event: str, payload: object) -> None:
        raise OSError(topic)

    team.broadcast(broken, ["build", "design"], "e", None)
    (record,) = caplog.records
    assert "'build', 'design'" in record.getMessage()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_passes_through(
    team: Groups, inbox: Inbox, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """``KeyboardInterrupt`` and the like end the broadcast and reach the caller, unlogged."""

    def stopping(topic: str, event: str, payload: object) -> None:
        inbox(topic, event, payload)
        if topic == "room:b":
            raise kind

    with pytest.raises(kind):
        team.broadcast(stopping, "design", "e", None)
    assert inbox.topics == ["room:A", "room:b"]
    assert caplog.records == []
    team.create("the handle goes on")


def test_a_callback_may_use_the_handle_in_any_way(team: Groups, inbox: Inbox) -> None:
    """Callbacks write, delete the group and broadcast again: no lock or transaction is held."""

    def busy(topic: str, event: str, payload: object) -> None:
        inbox(topic, event, payload)
        team.add("build", f"reply-to:{topic}")
        with team.transaction() as transaction:
            transaction.add("build", f"signed:{topic}")
        if "design" in team:
            team.delete("design")
        if event == "first":
            team.broadcast(busy, "build", "second", None)

    topics = sorted(team.topics("design"))
    team.broadcast(busy, "design", "first", None)
    assert [topic for topic, event, _ in inbox.events if event == "first"] == topics
    assert {f"reply-to:{topic}" for topic in topics} <= team.topics("build")
    assert {f"signed:{topic}" for topic in topics} <= team.topics("build")
    assert "design" not in team


def test_a_callback_may_close_the_handle(team: Groups, inbox: Inbox) -> None:
    """The topics were read before the first call: the rest still get the event."""

    def closing(topic: str, event: str, payload: object) -> None:
        inbox(topic, event, payload)
        team.close()

    team.broadcast(closing, "design", "e", None)
    assert len(inbox.events) == 5
    with pytest.raises(Closed):
        team.broadcast(inbox, "design", "e", None)


def test_recursion_through_callbacks_ends_as_python_ends_it(
    team: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that broadcasts without end gets a ``RecursionError``, and the handle goes on."""

    def endless(topic: str, event: str, payload: object) -> None:
        team.broadcast(endless, "solo", event, payload)

    team.create("solo")
    team.add("solo", "room:1")
    team.broadcast(endless, "solo", "e", None)
    assert any(
        record.exc_info and isinstance(record.exc_info[1], RecursionError)
        for record in caplog.records
    )
    assert team.topics("solo") == {"room:1"}


def test_a_broadcast_of_a_transaction_is_delivered_after_its_commit(
    team: Groups, inbox: Inbox, database: str
) -> None:
    """It goes to the topics as they stood at the call, once others can see the writes."""
    seen: list[frozenset[str]] = []

    def looking(topic: str, event: str, payload: object) -> None:
        inbox(topic, event, payload)
        seen.append(team.topics("build"))
        team.add("log", topic)

    team.create("log")
    with team.transaction() as transaction:
        transaction.add("build", "room:new")
        transaction.broadcast(looking, "build", "first", None, exclude=["room:z"])
        transaction.remove("build", "room:new")
        transaction.broadcast(looking, "build", "second", None)
        transaction.delete("design")
        transaction.broadcast(looking, "design", "never", None)
        assert inbox.events == []
    assert [(topic, event) for topic, event, _ in inbox.events] == [
        ("room:b", "first"),
        ("room:new", "first"),
        ("room:b", "second"),
        ("room:z", "second"),
    ]
    assert set(seen) == {frozenset({"room:b", "room:z"})}


def test_nothing_is_delivered_for_a_transaction_that_raised(team: Groups, inbox: Inbox) -> None:
    """A block that raises takes its broadcasts with it."""
    with pytest.raises(ZeroDivisionError), team.transaction() as transaction:  # noqa: PT012
        transaction.broadcast(inbox, "design", "e", None)
        raise ZeroDivisionError
    assert inbox.events == []


@pytest.fixture(params=["file", "memory"])
def any_groups(request: pytest.FixtureRequest, database: str) -> Iterator[Groups]:
    with beryl_groups.start(database if request.param == "file" else ":memory:") as handle:
        yield handle


def test_ten_thousand_topics_all_get_the_event(any_groups: Groups, inbox: Inbox) -> None:
    """A large group is delivered whole, in order."""
    topics = [f"room:{number}" for number in range(10_000)]
    any_groups.create("crowd")
    any_groups.add("crowd", *topics)
    any_groups.broadcast(inbox, "crowd", "e", None)
    assert inbox.topics == sorted(topics)
