"""What is acknowledged on PostgreSQL stays, and the run that says so can fail."""

from __future__ import annotations

import time

import pytest

from tests.postgresql import shared
from tests.torture.command import figure_of_short_form

if reason := shared.is_missing():
    pytest.skip(reason, allow_module_level=True)

from tests.torture.postgresql.__main__ import main
from tests.torture.postgresql.rounds import run
from tests.torture.postgresql.variants import BROKEN

pytestmark = pytest.mark.postgresql


def test_what_was_acknowledged_survives_whatever_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """Servers crash, clients are killed and connections are cut: each call is worth its word.

    Also the command says its seed first and its figure last, and exits with 0.
    """
    assert figure_of_short_form(main, capsys) == "40 interruptions, 0 faults"


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_a_library_that_breaks_its_word_is_noticed(broken: str) -> None:
    """To acknowledge too early, or to call failed what has happened, is a fault soon."""
    assert run(time.time_ns(), 500, broken).faults
