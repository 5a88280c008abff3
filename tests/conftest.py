from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from beryl_groups import Groups


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "groups.db"


@pytest.fixture
def groups(path: Path) -> Iterator[Groups]:
    """A handle on a new file."""
    with beryl_groups.start(path) as handle:
        yield handle


@pytest.fixture
def triggers_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have triggers run, which no handle lets them: to a test they are storage that refuses."""
    monkeypatch.setattr(sqlite, "distrust", lambda connection: None)
