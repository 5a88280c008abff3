"""Has the tests of this folder run on each engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines import (
    ENGINES,
    SQLITE,
    database,
    engine,
    leave_most_out,
    new_database,
    times,
)
from tests.processes import CI

if TYPE_CHECKING:
    import pytest

__all__ = ["database", "engine", "new_database", "times"]

_HERE = Path(__file__).parent

# What these show happens before an engine is asked, or after it has answered.
_WHATEVER_THE_ENGINE = {
    "test_changes",
    "test_failures",
    "test_handles",
    "test_logging",
    "test_odd_callbacks",
    "test_odd_names",
    "test_public_surface",
    "test_watch_interrupts",
}

# What takes long and finds little more there is left to CI.
_LEFT_TO_CI = {"test_exit", "test_interrupts"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        left_out = module in _WHATEVER_THE_ENGINE | (set() if CI else _LEFT_TO_CI)
        metafunc.parametrize("engine", [SQLITE] if left_out else ENGINES, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_most_out(config, items, _HERE)
