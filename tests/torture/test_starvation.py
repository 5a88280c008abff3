"""No writer waits longer than it said beside those who write without a pause."""

from __future__ import annotations

import random

import pytest

from beryl_groups.sqlite.turns import FileTurns
from tests.torture.command import figure_of_short_form
from tests.torture.starvation import BROKEN, GREEDS, main, write_beside


def test_a_lone_writer_gets_its_turn_beside_greedy_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Threads, handles and long transactions of another process keep no call waiting too long.

    Also the command says its seed first and its figure last, and exits with 0.
    """
    last = figure_of_short_form(main, capsys)
    assert last.endswith(" ms, 0 timeouts")


def test_a_library_that_waits_as_sqlite_does_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside transactions that follow one another at once, a call then waits in vain."""
    monkeypatch.setattr(FileTurns, "begin", FileTurns.begin)  # so that it comes back
    (broken,) = BROKEN
    BROKEN[broken]()
    greed = GREEDS["1 thread of transactions of 50 ms"]
    for _ in range(30):
        if write_beside(greed, 2, random.Random(), busy_timeout=0.5, broken=broken).timeouts:
            return
    pytest.fail("it was not noticed")
