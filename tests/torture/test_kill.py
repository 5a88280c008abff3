"""Nothing acknowledged is lost to SIGKILL, and the run that says so can fail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.torture.command import figure_of_short_form
from tests.torture.kill.__main__ import NOTICED, main
from tests.torture.kill.lives import run

if TYPE_CHECKING:
    from pathlib import Path


def test_processes_killed_at_random_leave_whole_calls(capsys: pytest.CaptureFixture[str]) -> None:
    """After each of 40 kills what was acknowledged is there, and nothing that is half or unasked.

    Also the command says its seed first and its figure last, and exits with 0.
    """
    last = figure_of_short_form(main, capsys)
    assert last == "40 kills, 0 faults"


@pytest.mark.parametrize("broken", NOTICED)
def test_a_library_that_breaks_its_word_is_noticed(tmp_path: Path, broken: str) -> None:
    """To acknowledge too early, or to commit the half of a call, is a fault within some kills."""
    assert run(tmp_path, time.time_ns(), kills=500, broken=broken).faults


def test_the_command_fails_where_a_fault_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    """It says which, and exits with 1."""
    assert main(["--broken", "acknowledges_before_the_commit"]) == 1
    assert capsys.readouterr().out.endswith(" kills, 1 faults\n")
