"""The engines that the contract's tests run on, each with a database for a test.

A test that asks for ``database``, ``new_database`` or ``groups`` in ``tests/contract`` or
``tests/aio`` is run once for each engine.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.postgresql import databases
from tests.processes import THOROUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
ENGINES = [SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.postgresql)]

_FEW = 5
"""Of a test with more variants than so many every fourth is run on PostgreSQL, all with CI=long."""


def leave_most_out(config: pytest.Config, items: list[pytest.Item], folder: Path) -> None:
    """Deselect most variants of those tests of a folder that have many."""
    if THOROUGH:
        return
    variants: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if f"[{POSTGRESQL}" in item.name and item.path.parent == folder:
            variants[item.nodeid.partition("[")[0]].append(item)
    left_out = {
        item
        for several in variants.values()
        if len(several) > _FEW
        for number, item in enumerate(several)
        if number % 4
    }
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Which engine the test is run on, as the ``conftest.py`` of the folder has it."""
    return str(getattr(request, "param", SQLITE))


@pytest.fixture
def times(engine: str) -> Callable[[int, int], int]:
    """Say how often to do something: so often, or less on PostgreSQL, where all costs more."""
    return lambda often, less: often if engine == SQLITE or THOROUGH else less


@pytest.fixture
def new_database(engine: str, path: Path) -> Iterator[Callable[[], str]]:
    """What gives a database that nobody has opened yet, at each call another."""
    if engine == SQLITE:
        numbers = itertools.count(1)
        yield lambda: str(path.with_name(f"groups-{next(numbers)}.db"))
        return
    taken: list[str] = []

    def take() -> str:
        taken.append(databases.take())
        return taken[-1]

    yield take
    for url in taken:
        databases.give_back(url)


@pytest.fixture
def database(engine: str, path: Path, new_database: Callable[[], str]) -> str:
    """What is handed to ``start``: a database without groups."""
    return str(path) if engine == SQLITE else new_database()
