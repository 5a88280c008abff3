"""How a watch ends, and that nothing is left of it."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Change, Closed
from tests.contract.watching import Follower, take
from tests.processes import PATIENCE, in_thread, wait_until, wait_until_asleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups import Groups


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """After each of these tests there is no thread of a watch."""
    yield
    wait_until(lambda: not threads())


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("beryl_groups-watch")]


ENDS: dict[str, Callable[[Groups, beryl_groups.Watch], None]] = {
    "stop": lambda groups, watch: watch.stop(),
    "with": lambda groups, watch: watch.__exit__(None, None, None),
    "close": lambda groups, watch: groups.close(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_iteration_ends_and_no_thread_is_left(
    groups: Groups, end: Callable[[Groups, beryl_groups.Watch], None]
) -> None:
    """After a stop or a close, who waits for a change waits no longer."""
    watch = groups.watch()
    told = in_thread(lambda: list(watch))
    groups.create("team")
    end(groups, watch)
    assert not threads()
    assert told.result(PATIENCE) in ([], [Change("created", "team")])
    assert list(watch) == []
    watch.stop()


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_callback_is_told_no_more(
    groups: Groups, end: Callable[[Groups, beryl_groups.Watch], None]
) -> None:
    """After a stop or a close no callback runs, and none will."""
    follower = Follower()
    watch = groups.watch(follower)
    groups.create("team")
    follower.wait_for({"team": set()})
    end(groups, watch)
    assert not threads()
    if end is not ENDS["close"]:
        groups.create("untold")
        with groups.watch(group="later") as changes:
            groups.create("later")
            take(changes)
    assert len(follower.told) == 1


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_callback_may_end_its_watch(
    groups: Groups, end: Callable[[Groups, beryl_groups.Watch], None]
) -> None:
    """It does not wait for itself, and what is left is not told."""
    told: list[Change] = []
    ended = threading.Event()

    def on_change(change: Change) -> None:
        told.append(change)
        end(groups, watch)
        ended.set()

    watch = groups.watch(on_change)
    with groups.transaction() as transaction:
        transaction.create("a")
        transaction.create("b")
    assert ended.wait(PATIENCE)
    wait_until(lambda: not threads())
    assert told == [Change("created", "a")]


def test_a_stop_waits_for_a_callback_that_is_under_way(groups: Groups) -> None:
    """After it the callback touches nothing any more."""
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()

    def on_change(change: Change) -> None:
        begun.set()
        assert gate.wait(PATIENCE)
        done.set()

    watch = groups.watch(on_change)
    groups.create("team")
    assert begun.wait(PATIENCE)
    stopping = in_thread(watch.stop)
    gate.set()
    stopping.result(PATIENCE)
    assert done.is_set()


def test_an_iterator_that_is_forgotten_watches_no_longer(groups: Groups) -> None:
    """Who leaves a loop over the changes need not stop them."""
    groups.create("team")
    for change in groups.watch(known={}):
        assert change.group == "team"
        break
    gc.collect()
    wait_until(lambda: not threads())


def test_a_callback_is_told_though_its_watch_is_forgotten(groups: Groups) -> None:
    """It watches until the handle is closed."""
    follower = Follower()
    groups.watch(follower)
    gc.collect()
    groups.create("team")
    follower.wait_for({"team": set()})


def test_a_handle_that_is_forgotten_ends_its_watches(database: str) -> None:
    """A watch does not keep its handle, which warns and closes itself."""
    groups = beryl_groups.start(database)
    watch = groups.watch()
    held = [groups]
    del groups
    with pytest.warns(ResourceWarning, match="was never closed"):
        held.clear()
    assert list(watch) == []


def test_one_of_several_watches_ends_alone(groups: Groups) -> None:
    """The others are told on."""
    follower = Follower()
    with groups.watch(follower, group="b"):
        with groups.watch() as changes:
            groups.create("a")
            take(changes)
        groups.create("b")
        follower.wait_for({"b": set()})
        with groups.watch() as changes:
            groups.add("b", "x")
            take(changes)
        follower.wait_for({"b": {"x"}})


def test_a_watch_that_begins_when_another_ends_misses_nothing(groups: Groups) -> None:
    """Threads that watch and stop at the same moment each get what they watch for."""

    def watch_often(worker: int) -> None:
        for number in range(30):
            with groups.watch(group=f"{worker}") as changes:
                groups.add(f"{worker}", f"{number}", create=True)
                (change,) = take(changes)
                assert change.topics == {f"{number}"}

    for future in [in_thread(partial(watch_often, worker)) for worker in range(4)]:
        future.result(PATIENCE)


PROGRAM = """
import sys
import beryl_groups

groups = beryl_groups.start(sys.argv[1])
how = sys.argv[2]
if how == "callback":
    watch = groups.watch(lambda change: print(change.kind, change.group, flush=True))
    groups.create("team")
    sys.stdin.readline()
elif how == "stuck":
    import threading
    begun = threading.Event()
    watch = groups.watch(lambda change: (begun.set(), threading.Event().wait()))
    groups.create("team")
    begun.wait()
    beryl_groups.lookout.PATIENCE = 0.1
elif how == "iterator":
    watch = groups.watch()
    print("watching", flush=True)
    for change in watch:
        print(change.kind, change.group, flush=True)
"""


def run(database: str, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, database, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", ["callback", "stuck"])
def test_a_program_ends_that_has_not_stopped_its_watch(database: str, how: str) -> None:
    """The end of a program waits for no watch, nor for a callback that never returns."""
    with run(database, how) as program:
        if how == "callback":
            assert program.stdout is not None
            assert program.stdout.readline() == "created team\n"
        _, error = program.communicate("\n", timeout=PATIENCE)
    assert program.returncode == 0, error
    assert "Traceback" not in error


def test_an_interrupt_ends_the_wait_for_a_change(database: str) -> None:
    """Ctrl-C is heard at once by who iterates, and the program ends."""
    with run(database, "iterator") as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "watching\n"
        wait_until_asleep(program.pid)
        program.send_signal(signal.SIGINT)
        _, error = program.communicate(timeout=PATIENCE)
    assert error.rstrip().endswith("KeyboardInterrupt"), error


def test_a_watch_is_neither_copied_nor_pickled(groups: Groups) -> None:
    """It belongs to its process, as the handle does."""
    import copy
    import pickle

    with groups.watch() as changes:
        for call in (copy.copy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                call(changes)


def test_a_watch_with_a_callback_is_no_iterator(groups: Groups) -> None:
    """What goes to a callback cannot be waited for as well."""
    with groups.watch(print) as watch, pytest.raises(TypeError, match="to its callback"):
        next(watch)


def test_a_watch_says_whether_it_has_ended(groups: Groups, database: str) -> None:
    """It is shown with the database that it watches."""
    with groups.watch() as changes:
        assert repr(changes) == f"<Watch of {database!r}, open>"
        assert changes
    assert repr(changes) == f"<Watch of {database!r}, ended>"


def test_a_close_in_another_thread_ends_the_iteration(groups: Groups) -> None:
    """Who waits in one thread is let go by a close in another."""
    watch = groups.watch()
    waiting = in_thread(lambda: next(watch, None))
    groups.close()
    assert waiting.result(PATIENCE) is None
    with pytest.raises(Closed):
        groups.watch()
