"""The types and causes that are of SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

import pytest
from sqlalchemy import URL

import beryl_groups
from beryl_groups import (
    Groups,
    StorageFailed,
    sqlite,
)

if TYPE_CHECKING:
    from collections.abc import Iterator  # noqa: F401 - in the types below
    from pathlib import Path


def test_the_types_of_start(path: Path) -> None:
    """`start` takes a str, a path or a URL and two settings, and gives `Groups`."""
    with beryl_groups.start(str(path), busy_timeout=1, synchronous="normal") as groups:
        assert_type(groups, Groups)
    with assert_type(beryl_groups.start(path), Groups):
        pass
    with assert_type(beryl_groups.start(URL.create("sqlite", database=str(path))), Groups):
        pass


def test_a_failure_of_the_storage_keeps_its_cause(groups: Groups, path: Path) -> None:
    """What SQLite said stays at hand, beneath an error of this package."""
    path.write_bytes(b"x" * 8192)

    with pytest.raises(StorageFailed) as caught:
        groups.list_groups()

    assert isinstance(caught.value.__cause__, sqlite.Error)
