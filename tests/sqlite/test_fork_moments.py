"""A fork while another thread is in the middle of a call, tried for lines all over that call."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Closed
from tests import processes
from tests.processes import PATIENCE, Fork, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from beryl_groups import Groups

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork"),
    # Python 3.12 and later warn of every fork beside threads, for the sake of locks that they
    # hold. That such a fork does no harm to a handle is what is shown here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

PACKAGE = str(Path(beryl_groups.__file__).parent)


class Halting:
    """A call in a thread that halts at one of its lines, for the moment in which another forks.

    The halt ends by itself, since it may hold a lock that the parent needs to end its fork.
    """

    def __init__(self, call: Callable[[], object], line: int) -> None:
        self._call = call
        self._lines_to_go = line
        self._begin, self._halted, self._go_on = (threading.Event() for _ in range(3))
        self._halts_or_ends = threading.Event()
        self._future = in_thread(self._run)

    def advance(self) -> bool:
        """Go to the line; return False where the call ends, or waits for another, before it."""
        self._begin.set()
        self._halts_or_ends.wait(2)
        return self._halted.is_set()

    def finish(self) -> None:
        self._go_on.set()
        self._future.result(PATIENCE)

    def _run(self) -> None:
        assert self._begin.wait(PATIENCE)
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            self._call()
        finally:
            sys.settrace(before)
            self._halts_or_ends.set()

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if not is_ours(frame):
            return None
        if event == "line":
            self._lines_to_go -= 1
            if self._lines_to_go == 0:
                self._halted.set()
                self._halts_or_ends.set()
                self._go_on.wait(0.1)
        return self._trace


def fork_meanwhile(
    function: Callable[[], object], advance: Callable[[], bool]
) -> tuple[Fork, bool]:
    """Fork, and have another thread advance after the package has made ready for the fork."""
    advanced = []

    def at_return(frame: FrameType, event: str, _argument: object) -> None:
        caller = frame.f_back
        if event != "return" or caller is None or not is_ours(frame):
            return
        if caller.f_code.co_filename == processes.__file__:  # where os.fork() is called
            sys.setprofile(None)
            advanced.append(advance())

    sys.setprofile(at_return)
    child = Fork(function)
    assert len(advanced) == 1
    return child, advanced[0]


def is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(PACKAGE)


def in_a_transaction(groups: Groups, _folder: Path) -> None:
    with groups.transaction() as transaction:
        transaction.add("group", "a")


def start_another(_groups: Groups, folder: Path) -> None:
    beryl_groups.start(folder / "another.db").close()


CALLS: dict[str, Callable[[Groups, Path], object]] = {
    "add": lambda groups, _: groups.add("group", "a"),
    "topics": lambda groups, _: groups.topics("group"),
    "transaction": in_a_transaction,
    "close": lambda groups, _: groups.close(),
    "start": start_another,
}


@pytest.mark.slow
@pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))
def test_a_fork_at_any_line_of_a_call_harms_neither_side(
    path: Path, call: Callable[[Groups, Path], object]
) -> None:
    """Wherever another thread is in its call, the child can use the file and the call ends."""
    beryl_groups.start(path).close()
    with beryl_groups.start(path) as groups:
        groups.create("group")
    lines = 1
    step = 1 if processes.THOROUGH else 3
    while fork_at(path, call, lines):
        lines += step
    assert lines > 2  # a read comes as far as the lock of the cache, and waits there for the fork
    with beryl_groups.start(path) as groups:
        assert groups.topics("group") >= {f"child:{line}" for line in range(1, lines + 1, step)}
        assert groups.check() == []


def fork_at(path: Path, call: Callable[[Groups, Path], object], line: int) -> bool:
    """Fork when another thread's call is at the line; return False where it gets less far."""

    def use_the_file() -> None:
        for refused in (lambda: groups.topics("group"), lambda: groups.add("group", "b")):
            with pytest.raises(Closed):
                refused()
        with beryl_groups.start(path, busy_timeout=PATIENCE) as own:
            own.add("group", f"child:{line}")

    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        halting = Halting(lambda: call(groups, path.parent), line)
        child, advanced = fork_meanwhile(use_the_file, halting.advance)
        child.result()
        halting.finish()
    return advanced
