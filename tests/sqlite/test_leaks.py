"""Whatever calls came to, no descriptor and no thread is left of them."""

from __future__ import annotations

import gc
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Closed, GroupError, NotFound, StorageFailed
from tests.processes import gather, in_thread, open_files
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups import Groups

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="this system does not show what a process has open"
)


class OnPurpose(Exception):  # noqa: N818
    """What a user's own code raises."""


def fail(*_: object) -> None:
    raise OnPurpose


def exit_instead(*_: object) -> None:
    raise SystemExit


def topics_that_fail() -> Iterator[str]:
    yield "a"
    raise OnPurpose


def transact_and_fail(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.add("group", "a")
        transaction.broadcast(fail, "group", "event", None)
        raise OnPurpose


def deliver_and_exit(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.add("group", "a")
        transaction.broadcast(exit_instead, "group", "event", None)


def write_beside_a_transaction(groups: Groups) -> None:
    with groups.transaction():
        groups.add("group", "a")


def forget_a_transaction(groups: Groups) -> None:
    block = groups.transaction()
    block.__enter__().add("group", "a")


def be_too_late(groups: Groups) -> None:
    path = store(groups).location.path
    with beryl_groups.start(path, busy_timeout=0) as other, groups.transaction():
        other.add("group", "a")


def use_a_closed_one(groups: Groups) -> None:
    other = beryl_groups.start(store(groups).location.path)
    other.topics("group")
    other.close()
    other.topics("group")


CALLS: list[tuple[type[BaseException] | None, Callable[[Groups], object]]] = [
    (AlreadyExists, lambda groups: groups.create("group")),
    (NotFound, lambda groups: groups.topics("missing")),
    (NotFound, lambda groups: groups.add("missing", "a")),
    (OnPurpose, lambda groups: groups.set_topics("group", topics_that_fail())),
    (None, lambda groups: groups.broadcast(fail, "group", "event", None)),
    (SystemExit, lambda groups: groups.broadcast(exit_instead, "group", "event", None)),
    (OnPurpose, lambda groups: groups.broadcast(fail, topics_that_fail(), "event", None)),
    (OnPurpose, transact_and_fail),
    (SystemExit, deliver_and_exit),
    (GroupError, write_beside_a_transaction),
    (None, forget_a_transaction),
    (StorageFailed, be_too_late),
    (Closed, use_a_closed_one),
    (StorageFailed, lambda groups: groups.backup("/nowhere/copy.db")),
    (None, lambda groups: groups.check()),
    (None, lambda groups: in_thread(lambda: groups.groups_of("a")).result()),
]


def call_again_and_again(path: Path) -> int:
    """Return how many descriptors more are open after the last of many turns than after some."""
    before, threads = open_files(), threading.active_count()
    with beryl_groups.start(path, synchronous="normal") as groups:
        groups.create("group")
        groups.add("group", "a", "b")
        numbers = []
        for _ in range(30):
            for expected, call in CALLS:
                with pytest.raises(expected) if expected is not None else nullcontext():
                    call(groups)
            gc.collect()
            numbers.append(len(open_files()))
        groups.add("group", "c")
        assert groups.topics("group") == {"a", "b", "c"}
    assert [name for name in open_files() if name not in before] == []
    assert threading.active_count() <= threads
    return numbers[-1] - numbers[5]


@pytest.mark.slow
def test_calls_that_fail_in_every_way_leak_nothing(path: Path) -> None:
    """Refusals, errors of the user's own code and of the storage leave what was open before."""
    assert gather(call_again_and_again, [(path,)]) == [0]
