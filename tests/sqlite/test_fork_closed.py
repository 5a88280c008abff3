"""A fork beside a handle that was closed while a transaction of its was open."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from tests.processes import PATIENCE, Fork, in_thread, wait_until
from tests.sqlite.store import store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def test_a_fork_waits_for_the_last_transaction_of_a_closed_handle(path: Path) -> None:
    """It ends, the writer of another handle gets its turn, and the child may open the file."""
    with (
        beryl_groups.start(path, busy_timeout=PATIENCE) as closed,
        beryl_groups.start(path, busy_timeout=PATIENCE) as other,
    ):
        closed.create("group")
        closed.topics("group")
        begun, let_go = threading.Event(), threading.Event()

        def transact() -> None:
            with closed.transaction() as transaction:
                transaction.add("group", "last")
                begun.set()
                assert let_go.wait(PATIENCE)

        transacting = in_thread(transact)
        assert begun.wait(PATIENCE)
        closed.close()
        adding = in_thread(lambda: other.add("group", "other"))
        wait_until(lambda: store(other)._writer._leader is not None)
        threading.Timer(0.05, let_go.set).start()

        child = Fork(lambda: beryl_groups.start(path).close())

        transacting.result(PATIENCE)
        adding.result(PATIENCE)
        child.result()
        assert other.topics("group") == {"last", "other"}
