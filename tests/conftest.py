from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import beryl_groups
from tests import loops

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from beryl_groups import Groups
    from tests.loops import Run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "groups.db"


@pytest.fixture
def groups(path: Path) -> Iterator[Groups]:
    """A handle on a new file."""
    with beryl_groups.start(path) as handle:
        yield handle


@pytest.fixture(params=loops.KINDS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a new event loop, of each kind."""
    return request.param  # type: ignore[no-any-return]
