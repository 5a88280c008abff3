"""Calls of more names than anybody would write down, and of names without an end."""

from __future__ import annotations

import itertools
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import InvalidName
from tests.processes import PATIENCE, gather, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups import Groups

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and limits of memory")


def memory(kind: str) -> int:
    """Return how many bytes of memory this process takes: VmSize, VmRSS, or VmHWM, its peak."""
    (found,) = (
        line.split()[1]
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(f"{kind}:")
    )
    return int(found) * 1024


def use_many(database: str, number: int) -> int:
    """Have a call of each kind take many names; return the bytes of memory each took at most."""
    many = [f"topic:{each:06}" for each in range(number)]
    with beryl_groups.start(database) as groups:
        groups.create("team")
        groups.add("team", "a", "b")
        groups.set_topics("team", [])
        before = memory("VmRSS")  # when all has been loaded that calls need
        groups.add("team", "a", *many)
        assert groups.topics("team") == {"a", *many}
        groups.set_topics("team", (name for name in many if name != many[7]))
        assert groups.topics("team") == set(many) - {many[7]}
        assert groups.groups_of(many[6]) == ["team"]
        assert groups.groups_of(many[7]) == []

        received: list[str] = []
        groups.broadcast(lambda topic, *_: received.append(topic), "team", "e", None)
        assert received == [name for name in many if name != many[7]]
        received.clear()
        groups.broadcast(
            lambda topic, *_: received.append(topic), "team", "e", None, exclude=many[1:]
        )
        assert received == many[:1]

        groups.add("team", "a")
        groups.remove("team", *many, *many)
        assert groups.topics("team") == {"a"}
        with pytest.raises(InvalidName):
            groups.set_topics("team", [*many, "\0"])
        assert groups.topics("team") == {"a"}
    return (memory("VmHWM") - before) // number


@pytest.mark.slow
def test_a_call_of_200_000_topics_lands_whole_in_memory_in_proportion(
    database: str, times: Callable[[int, int], int]
) -> None:
    """They are stored, read, replaced, delivered, left out and taken away, in 1 KiB for each."""
    (bytes_each,) = gather(use_many, [(database, times(200_000, 20_000))])
    assert bytes_each < 1024


def test_a_topic_of_20_000_groups_has_them_all(
    groups: Groups, times: Callable[[int, int], int]
) -> None:
    """`groups_of` gives them in order, and a broadcast may be to all of them."""
    names = [f"group:{number:05}" for number in range(times(20_000, 500))]
    with groups.transaction() as transaction:
        for name in names:
            transaction.create(name)
            transaction.add(name, "everywhere", name)
    assert groups.groups_of("everywhere") == names == list(groups)

    received: list[str] = []
    groups.broadcast(lambda topic, *_: received.append(topic), iter(names), "e", None)
    assert received == ["everywhere", *names]


def interrupt_endless_names(database: str, call: Callable[[Groups, Iterator[str]], None]) -> None:
    """Press Ctrl-C while a call reads names without an end, none of which Python code makes."""

    def endless() -> Iterator[str]:
        return itertools.chain(itertools.islice(begin(), 1), itertools.cycle(["x"]))

    def begin() -> Iterator[str]:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        yield "first"

    signal.signal(signal.SIGALRM, signal.default_int_handler)
    # Who does not hear the signal is to run into this, and not into the end of the machine.
    most = memory("VmSize") + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with beryl_groups.start(database, busy_timeout=PATIENCE) as groups:
        groups.create("team")
        groups.add("team", "a")
        with pytest.raises(KeyboardInterrupt):
            call(groups, endless())
        assert groups.topics("team") == {"a"}
        in_thread(lambda: groups.add("team", "b")).result(PATIENCE)
        with beryl_groups.start(database, busy_timeout=0) as another:
            another.add("team", "c")
        assert groups.topics("team") == {"a", "b", "c"}


def set_endless(groups: Groups, names: Iterator[str]) -> None:
    groups.set_topics("team", names)


def set_endless_in_a_transaction(groups: Groups, names: Iterator[str]) -> None:
    with groups.transaction() as transaction:
        transaction.add("team", "begun")
        transaction.set_topics("team", names)


def broadcast_to_endless(groups: Groups, names: Iterator[str]) -> None:
    groups.broadcast(print, names, "event", None)


def broadcast_without_endless(groups: Groups, names: Iterator[str]) -> None:
    groups.broadcast(print, "team", "event", None, exclude=names)


@pytest.mark.parametrize(
    "call",
    [set_endless, set_endless_in_a_transaction, broadcast_to_endless, broadcast_without_endless],
)
def test_ctrl_c_ends_a_call_whose_names_have_no_end(
    database: str, call: Callable[[Groups, Iterator[str]], None]
) -> None:
    """Nothing of it is done, and no lock or transaction is held afterwards."""
    gather(interrupt_endless_names, [(database, call)])
