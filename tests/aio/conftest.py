"""Has the tests of what an asynchronous handle promises run on each engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engines import ENGINES, database, engine, new_database

if TYPE_CHECKING:
    import pytest

__all__ = ["database", "engine", "new_database"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ENGINES, indirect=True)
