"""Bad files: the run over damaged and hostile databases, and what makes it fail."""

from __future__ import annotations

import pytest

from tests.processes import PATIENCE
from tests.torture.files import __main__ as command
from tests.torture.files.run import run
from tests.torture.files.variants import BROKEN

# A seed under which few mutations are enough to notice each variant.
SEEDS = {
    "lets_errors_through": 1,
    "runs_what_lies_in_the_file": 12,
    "gives_what_is_no_text": 2,
    "touches_what_it_refuses": 5,
    "finds_nothing_wrong": 1,
    "dies_of_damage": 1,
    "hangs_on_damage": 1,
}


def test_every_file_is_refused_or_right_or_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    """The short form finds no fault, and its last line is the figure."""
    assert command.main(["--seed", "1"]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.endswith("200 mutations, 0 faults\n")


def test_no_variant_is_left_out() -> None:
    """Each way in which the library can be broken here is tried below."""
    assert SEEDS.keys() == BROKEN.keys()


@pytest.mark.parametrize("broken", SEEDS)
def test_a_library_that_is_broken_on_purpose_is_noticed(broken: str) -> None:
    """The run finds a fault in each variant: an error that comes bare, a trigger that runs."""
    patience = 3 if broken == "hangs_on_damage" else PATIENCE
    assert run(SEEDS[broken], 40, broken, patience, enough=1).faults
