"""What the log is told of a broadcast that fails: all of it, and nothing twice."""

from __future__ import annotations

import logging
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups import failures
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from beryl_groups import Groups

MANY = 5000


@pytest.fixture(autouse=True)
def no_broadcast_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a slow machine change nothing."""
    monkeypatch.setattr(failures, "_SOON", PATIENCE)


@pytest.fixture
def crowd(groups: Groups) -> Groups:
    groups.create("crowd")
    groups.add("crowd", *(f"room:{number:04}" for number in range(MANY)))
    return groups


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return each message, with what its error says."""
    return [
        f"{record.getMessage()} {record.exc_info and record.exc_info[1]!r}"
        for record in caplog.records
    ]


def fail_with(make: Any) -> Any:
    def send(topic: str, event: str, payload: object) -> None:
        raise make(topic)

    return send


ONE = ConnectionError("away")


@pytest.mark.parametrize(
    "make",
    [
        lambda topic: ConnectionError("the broker is away"),
        lambda topic: ConnectionError(f"nobody takes {topic}"),
        lambda topic: LookupError(f"cmnd/{topic}/POWER"),
        KeyError,
        lambda topic: OSError(f"{object()} of {id(topic):#x} is gone"),
        lambda topic: ONE,
    ],
    ids=[
        "the same text",
        "with the topic",
        "with more",
        "its repr",
        "addresses",
        "one error for all",
    ],
)
def test_the_same_failure_of_many_topics_is_logged_once(
    crowd: Groups, caplog: pytest.LogCaptureFixture, make: Any
) -> None:
    """One traceback, of some lines, with the number of topics and the first few by name."""
    crowd.broadcast(fail_with(make), "crowd", "deploy", None)
    (record,) = caplog.records
    assert record.getMessage() == (
        "Broadcast of the event 'deploy' of the group 'crowd' failed in the same way for 5,000 "
        "topics: 'room:0000', 'room:0001', 'room:0002' and 4,997 more."
    )
    assert record.exc_info
    assert logging.Formatter().format(record).count("\n") < 12


def test_different_failures_are_logged_once_each(
    crowd: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """Another type, another text and another place are each another failure."""

    def send(topic: str, event: str, payload: object) -> None:
        if topic == "room:0000":
            raise TimeoutError("late")
        if topic.endswith("1"):
            raise OSError("late")
        if topic.endswith("2"):
            raise TimeoutError("late")
        if topic.endswith("3"):
            raise TimeoutError("never")
        if topic.endswith("4"):

            class GoneError(OSError):  # another class for each call, of the same name
                pass

            raise GoneError

    crowd.broadcast(send, "crowd", "e", None)
    first, *others = told(caplog)
    assert first == (
        "Broadcast of the event 'e' of the group 'crowd' to the topic 'room:0000' failed. "
        "TimeoutError('late')"
    )
    assert [line.partition("same way ")[2] for line in others] == [
        "for 500 topics: 'room:0001', 'room:0011', 'room:0021' and 497 more. OSError('late')",
        "for 500 topics: 'room:0002', 'room:0012', 'room:0022' and 497 more. TimeoutError('late')",
        "for 500 topics: 'room:0003', 'room:0013', 'room:0023' and 497 more. TimeoutError('never')",
        "for 500 topics: 'room:0004', 'room:0014', 'room:0024' and 497 more. GoneError()",
    ]


def test_each_broadcast_tells_its_failures(crowd: Groups, caplog: pytest.LogCaptureFixture) -> None:
    """What one has logged another logs again."""
    for _ in range(2):
        crowd.broadcast(fail_with(OSError), "crowd", "e", None)
    with crowd.transaction() as transaction:
        transaction.broadcast(fail_with(OSError), "crowd", "e", None)
    assert len(caplog.records) == 3


def test_at_level_debug_nothing_is_hidden(crowd: Groups, caplog: pytest.LogCaptureFixture) -> None:
    """There each failure shows, with its traceback and the name of its topic."""
    caplog.set_level(logging.DEBUG, logger="beryl_groups")
    crowd.broadcast(fail_with(OSError), "crowd", "e", None)
    *others, summary = caplog.records
    assert (summary.levelno, {record.levelno for record in others}) == (
        logging.ERROR,
        {logging.DEBUG},
    )
    errors = [record.exc_info and str(record.exc_info[1]) for record in (summary, *others)]
    assert errors == sorted(crowd.topics("crowd"))
    assert all(repr(error) in r.getMessage() for error, r in zip(errors[1:], others, strict=True))


def test_failures_that_each_say_something_else_are_a_few_records(
    crowd: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """An error with a number of its own for each topic floods neither the log nor the memory."""
    numbers = iter(range(MANY))

    def send(topic: str, event: str, payload: object) -> None:
        kept = bytes(100_000)
        raise OSError(f"request {next(numbers)} failed", len(kept))

    crowd.broadcast(lambda *_: None, "crowd", "e", None)  # which reads the topics
    tracemalloc.start()
    try:
        crowd.broadcast(send, "crowd", "e", None)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 10_000_000
    assert len(caplog.records) == 20
    numbers_of_topics = [line.partition("same way for ")[2].split(" ")[0] for line in told(caplog)]
    assert numbers_of_topics == ["4,981", *[""] * 19]


def test_past_many_texts_another_kind_of_failure_is_still_logged(
    crowd: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the text no longer tells failures apart."""
    numbers = iter(range(MANY))

    def send(topic: str, event: str, payload: object) -> None:
        if topic.endswith("999"):
            raise LookupError(topic)
        raise OSError(next(numbers))

    crowd.broadcast(send, "crowd", "e", None)
    assert len(caplog.records) == 21
    assert told(caplog)[-1].startswith(
        "Broadcast of the event 'e' of the group 'crowd' failed in the same way for 5 topics: "
        "'room:0999', 'room:1999', 'room:2999' and 2 more. LookupError"
    )


def test_a_broadcast_that_is_ended_has_told_what_failed(
    crowd: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C half way does not take away the log of what failed before."""

    def send(topic: str, event: str, payload: object) -> None:
        if topic == "room:0100":
            raise KeyboardInterrupt
        raise OSError("away")

    with pytest.raises(KeyboardInterrupt):
        crowd.broadcast(send, "crowd", "e", None)
    (record,) = caplog.records
    assert "100 topics" in record.getMessage()


def test_a_long_broadcast_tells_of_a_failure_before_its_end(
    crowd: Groups, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is logged with its traceback, and at the end, without, how often it was."""
    monkeypatch.setattr(failures, "_SOON", 0.0)
    before: list[int] = []

    def send(topic: str, event: str, payload: object) -> None:
        before.append(len(caplog.records))
        raise OSError("away")

    crowd.broadcast(send, "crowd", "e", None)
    assert before == [0, 0, *[1] * (MANY - 2)]
    first, last = caplog.records
    assert "for 2 topics: 'room:0000', 'room:0001'." in first.getMessage()
    assert first.exc_info
    assert not last.exc_info
    assert last.getMessage() == (
        "Broadcast of the event 'e' of the group 'crowd' went on failing, for 5,000 topics in all "
        "('room:0000', 'room:0001', 'room:0002' and 4,997 more), as was logged before: "
        "OSError('away')"
    )


def test_what_failed_is_not_kept(crowd: Groups) -> None:
    """When the broadcast has ended nothing holds its errors, nor what they refer to."""
    alive: set[int] = set()

    class Error(Exception):
        def __init__(self) -> None:
            alive.add(id(self))

        def __del__(self) -> None:
            alive.discard(id(self))

    logging.getLogger("beryl_groups").addFilter(nothing := lambda record: False)
    try:
        crowd.broadcast(fail_with(lambda topic: Error()), "crowd", "e", None)
    finally:
        logging.getLogger("beryl_groups").removeFilter(nothing)
    assert not alive
