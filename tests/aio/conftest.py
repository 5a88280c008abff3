"""Has the tests of what an asynchronous handle promises run on each engine.

On PostgreSQL they run on the event loop of asyncio, and on every kind of loop with CI=long alone:
what the kinds differ in happens before an engine is asked, or after it has answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.aio.loops import KINDS
from tests.engines import (
    ENGINES,
    POSTGRESQL,
    SQLITE,
    database,
    engine,
    leave_most_out,
    new_database,
    times,
)
from tests.processes import CI, THOROUGH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aio.loops import Run

__all__ = ["database", "engine", "new_database", "times"]

# Each starts a program, which takes long and finds little more there.
_LEFT_TO_CI = {"test_programs"}


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a new event loop, of a kind that goes with the engine."""
    return request.param  # type: ignore[no-any-return]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = metafunc.fixturenames
    if "run" in names and "engine" in names:
        metafunc.parametrize(("engine", "run"), list(_pairs()), indirect=True)
    elif "run" in names:
        metafunc.parametrize("run", KINDS, indirect=True)
    elif "engine" in names:
        module = metafunc.module.__name__.rpartition(".")[2]
        engines = [SQLITE] if module in _LEFT_TO_CI and not CI else ENGINES
        metafunc.parametrize("engine", engines, indirect=True)


def _pairs() -> Iterator[Any]:
    """Give each engine with each kind of loop that its tests run on."""
    for kind in KINDS:
        yield pytest.param(SQLITE, *kind.values, id=f"{SQLITE}-{kind.id}", marks=kind.marks)
    for kind in KINDS if THOROUGH else KINDS[:1]:
        marks = [pytest.mark.postgresql, *kind.marks]
        yield pytest.param(POSTGRESQL, *kind.values, id=f"{POSTGRESQL}-{kind.id}", marks=marks)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_most_out(config, items, Path(__file__).parent)
