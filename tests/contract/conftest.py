"""Has the tests of this folder run on each engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engines import ENGINES, SQLITE, database, engine, new_database, times

if TYPE_CHECKING:
    import pytest

__all__ = ["database", "engine", "new_database", "times"]

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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        neutral = metafunc.module.__name__.rpartition(".")[2] in _WHATEVER_THE_ENGINE
        metafunc.parametrize("engine", [SQLITE] if neutral else ENGINES, indirect=True)
