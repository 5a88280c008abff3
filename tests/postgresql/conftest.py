from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postgresql import databases, shared
from tests.postgresql.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = shared.is_missing()
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.postgresql)
            if missing is not None:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a database without groups, whose tables may be there already."""
    url = databases.take()
    yield url
    databases.give_back(url)


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The URL of a database of the test's own: nothing is in it, and it is removed after."""
    url = databases.make()
    yield url
    databases.drop(url)


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    """A proxy in front of the server of ``database``."""
    port = int(database.rpartition("/")[0].rpartition(":")[2])
    with Proxy(port) as given:
        yield given
