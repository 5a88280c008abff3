"""A folder for a moment."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def scratch_folder(beside: str) -> Iterator[Path]:
    """Give the path of a new folder, which is beside a file where the system has none for it."""
    try:
        made = tempfile.TemporaryDirectory(prefix="beryl_groups-")
    except OSError:
        made = tempfile.TemporaryDirectory(prefix=".beryl-", dir=Path(beside).parent)
    with made as name:
        yield Path(name)
