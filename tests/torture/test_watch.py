"""What watches tell is what happened, and the run that says so can fail."""

from __future__ import annotations

import time

import pytest

from tests.torture.command import figure_of_short_form
from tests.torture.watch.__main__ import main, run
from tests.torture.watch.variants import BROKEN


def test_watches_come_to_know_what_the_file_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """However it is written, and whoever is late, killed or stopped: no step is impossible.

    Also the command says its seed first and its figure last, and exits with 0.
    """
    last = figure_of_short_form(main, capsys)
    assert last.endswith(" kills, 0 faults")
    assert int(last.split()[0].replace(",", "")) > 1000


@pytest.mark.parametrize("broken", BROKEN)
def test_a_watch_that_breaks_its_word_is_noticed(broken: str) -> None:
    """A version read too late, what was undone, or a change merged away are faults."""
    assert run(time.time_ns(), seconds=120, broken=broken).faults
