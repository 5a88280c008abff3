"""Whatever comes between two lines of the package, the next answers are right.

Ctrl-C may come anywhere, and a signal handler or a finalizer may use the handle in the midst of
a call of the same thread. Here it comes before every single line in turn.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import GroupError, Groups, StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PACKAGE = str(Path(beryl_groups.__file__).parent)


class Signal:
    """A signal that comes at the line of this number that is run in the package.

    It comes as real ones do: the line is only the earliest point at which the interpreter may
    see it. So C raises it, where no line of Python is run in between.
    """

    def __init__(self, number: int, handler: Callable[[], object]) -> None:
        self._lines_left = number
        self._handler = handler
        self._raise = ctypes.pythonapi.PyErr_SetInterrupt
        self._raise.argtypes = [ctypes.py_object] * 3
        self._raise.restype = None
        self.came = False

    @contextmanager
    def armed(self) -> Iterator[None]:
        before = sys.gettrace(), signal.signal(signal.SIGINT, self._handle)
        gc.disable()  # a handle that another test has left behind must not be interrupted
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before[0])
            gc.enable()
            signal.signal(signal.SIGINT, before[1])

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        self._lines_left -= event == "line"
        return self._raise if self._lines_left <= 0 else self._trace

    def _handle(self, number: int, frame: FrameType | None) -> None:
        sys.settrace(None)
        while frame is not None:
            frame.f_trace = None
            frame = frame.f_back
        self.came = True
        self._handler()


def everything(groups: Groups) -> object:
    topics: list[str] = []
    groups.broadcast(lambda topic, event, payload: topics.append(topic), "team", "event", None)
    return (
        {name: groups.topics(name) for name in ("team", "crew")},
        list(groups),
        len(groups),
        [groups.groups_of(topic) for topic in ("shared", "new", "from afar")],
        topics,
    )


@pytest.fixture
def groups(path: Path) -> Iterator[Groups]:
    """A handle on a file with two groups."""
    with beryl_groups.start(path, synchronous="normal") as handle:
        for name in ("team", "crew"):
            handle.create(name)
            handle.add(name, "shared", f"only {name}")
        yield handle


@pytest.fixture
def other(groups: Groups, path: Path) -> Iterator[Groups]:
    """A second handle on that file."""
    with beryl_groups.start(path, synchronous="normal") as handle:
        yield handle


Change = Callable[[Groups, Groups, str], object]


def nobody_commits(groups: Groups, other: Groups, topic: str) -> None:
    pass


def another_commits(groups: Groups, other: Groups, topic: str) -> None:
    with other.transaction() as transaction:
        transaction.set_topics("team", ["from afar", topic])
        transaction.set_topics("crew", ["shared", topic])
    groups.groups_of(f"nothing {topic}")  # which was not kept: it is this read that asks anew


def this_one_commits(groups: Groups, other: Groups, topic: str) -> None:
    with suppress(GroupError):  # it is refused where it comes in the midst of a write
        groups.add("crew", topic)


CHANGES = [nobody_commits, another_commits, this_one_commits]


def raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


def add_in_a_transaction(groups: Groups) -> None:
    with groups.transaction() as transaction:
        with suppress(KeyboardInterrupt):
            transaction.add("team", "new")
        with suppress(StorageFailed):
            transaction.add("crew", "new")


CALLS: dict[str, Callable[[Groups], object]] = {
    "a read": lambda groups: groups.topics("team"),
    "a write": lambda groups: groups.add("team", "new"),
    "a transaction": add_in_a_transaction,
}


@pytest.mark.slow
@pytest.mark.parametrize("then", CHANGES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_interrupted_call_leaves_no_wrong_answer(
    groups: Groups, other: Groups, call: Callable[[Groups], object], then: Change
) -> None:
    """After Ctrl-C at any line of it, answers agree with the file, also past the next commit."""
    number, came = 0, True
    while came:
        number += 1
        groups.remove("team", "new")
        groups.remove("crew", "new")
        everything(groups)
        ctrl_c = Signal(number, raise_keyboard_interrupt)
        with suppress(KeyboardInterrupt, StorageFailed), ctrl_c.armed():
            call(groups)
        came = ctrl_c.came
        then(groups, other, f"after {number}")
        assert everything(groups) == everything(other), f"after line {number}"
    assert number > 10


def test_an_interrupted_write_does_not_switch_the_cache_off(groups: Groups, other: Groups) -> None:
    """However it ended, what is read twice after it is answered from memory."""
    number, came = 0, True
    while came:
        number += 1
        everything(groups)
        ctrl_c = Signal(number, raise_keyboard_interrupt)
        with suppress(KeyboardInterrupt), ctrl_c.armed():
            groups.add("team", f"number {number}")
        came = ctrl_c.came
        everything(groups)
        assert groups.topics("crew") is groups.topics("crew"), f"after line {number}"


@pytest.mark.parametrize("then", [nobody_commits, another_commits])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_signal_handler_may_use_the_handle_in_the_midst_of_a_call(
    groups: Groups, other: Groups, call: Callable[[Groups], object], change: Change, then: Change
) -> None:
    """What it reads, what the call gives and what comes later is never older than it may be."""
    if change is another_commits and call is not CALLS["a read"]:
        pytest.skip("it would wait for the write that it holds up")
    number, came = 0, True
    while came:
        number += 1
        everything(groups)
        other.set_topics("team", ["from afar", f"number {number}"])
        legal: list[object] = [other.topics("team")]

        def handle(number: int = number, legal: list[object] = legal) -> None:
            change(groups, other, f"during {number}")
            legal.append(other.topics("team"))
            assert everything(groups) == everything(other)

        handler = Signal(number, handle)
        with handler.armed():
            answer = call(groups)
        came = handler.came
        assert answer is None or answer in legal, f"at line {number}"
        then(groups, other, f"after {number}")
        assert everything(groups) == everything(other), f"after line {number}"
    assert number > 10
