"""Has the tests of this folder run on each engine."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines import ENGINES, POSTGRESQL, SQLITE, database, engine, new_database, times

if TYPE_CHECKING:
    import pytest

__all__ = ["database", "engine", "new_database", "times"]

_HERE = Path(__file__).parent
_CI = "CI" in os.environ

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

_FEW = 5
"""Of a test that has more variants than so many, every fourth is run on PostgreSQL without CI."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        left_out = module in _WHATEVER_THE_ENGINE | (set() if _CI else _LEFT_TO_CI)
        metafunc.parametrize("engine", [SQLITE] if left_out else ENGINES, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    variants: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if f"[{POSTGRESQL}" in item.name and item.path.parent == _HERE:
            variants[item.nodeid.partition("[")[0]].append(item)
    left_out = {
        item
        for several in variants.values()
        if len(several) > _FEW and not _CI
        for number, item in enumerate(several)
        if number % 4
    }
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
