"""A signal in the middle of any call leaves the handle of use, and nothing half done or open."""

from __future__ import annotations

import time

import pytest

from tests.torture.command import figure_of_short_form
from tests.torture.signals import NOTICED, main, run


def test_signals_at_any_time_hurt_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """KeyboardInterrupt and SystemExit in one thread, 200 times, beside two that write.

    Also the command says its seed first and its figure last, and exits with 0.
    """
    last = figure_of_short_form(main, capsys)
    assert last == "200 signals, 0 faults"


@pytest.mark.parametrize("broken", NOTICED)
def test_a_library_that_leaves_halves_is_noticed(broken: str) -> None:
    """Where a call can be committed by halves, a signal shows it."""
    fault = run(time.time_ns(), signals=3000, broken=broken)
    assert fault is not None
    assert "hangs" not in fault
