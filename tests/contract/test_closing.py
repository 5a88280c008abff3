"""The end of a handle: what it refuses, what it waits for, and what it leaves behind."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Closed
from tests.contract.test_fork import CALLS, CALLS_OF_A_HANDLE, make_group
from tests.processes import (
    together,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="this system does not show what a process has open"
)


@pytest.mark.parametrize("call", list(CALLS_OF_A_HANDLE.values()), ids=list(CALLS_OF_A_HANDLE))
def test_a_closed_handle_refuses_every_call(
    groups: Groups, call: Callable[[Groups], object]
) -> None:
    """Each method of a closed handle raises Closed with a sentence that says what to do."""
    make_group(groups)
    groups.close()
    with pytest.raises(Closed, match=r"has been closed: open it again with start\(\)\.$"):
        call(groups)


@pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))
def test_a_transaction_that_is_over_refuses_every_call(
    groups: Groups, call: Callable[[object], object]
) -> None:
    """Each method of a transaction whose block has been left raises Closed and changes nothing."""
    make_group(groups)
    with groups.transaction() as transaction:
        transaction.add("group", "b")
    with pytest.raises(Closed, match="over"):
        call(transaction)
    assert groups.topics("group") == {"a", "b"}


def test_a_handle_may_be_closed_more_than_once(groups: Groups) -> None:
    """close() twice is fine, from several threads at once and at the end of a with block too."""
    with groups:
        groups.close()
        groups.close()
        together(*[groups.close] * 4)
    assert repr(groups).endswith("closed>")


def test_a_close_inside_a_transaction_waits_for_its_end(groups: Groups, database: str) -> None:
    """close() inside the handle's own block lets the transaction end as it would have."""
    make_group(groups)
    delivered: list[str] = []
    with groups.transaction() as transaction:
        transaction.add("group", "b")
        groups.close()
        with pytest.raises(Closed):
            groups.topics("group")
        transaction.add("group", "c")
        transaction.broadcast(lambda topic, *_: delivered.append(topic), "group", "event", None)
    assert delivered == ["a", "b", "c"]
    with beryl_groups.start(database) as again:
        assert again.topics("group") == {"a", "b", "c"}


def test_a_close_inside_a_transaction_that_raises_leaves_nothing(
    groups: Groups, database: str
) -> None:
    """So it is where the block raises: nothing is stored, and nothing is left open."""
    make_group(groups)

    def fail() -> None:
        with groups.transaction() as transaction:
            transaction.add("group", "b")
            groups.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with beryl_groups.start(database) as again:
        assert again.topics("group") == {"a"}


def test_a_closed_handle_is_forgotten_in_silence(database: str) -> None:
    """A handle that has been closed gives no warning, nor does one that never came to be."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        beryl_groups.start(database).close()
        with pytest.raises(beryl_groups.StartFailed):
            beryl_groups.start("")
        gc.collect()
