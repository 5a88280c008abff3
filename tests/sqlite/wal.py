"""What the write-ahead log of a database tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def commits(path: Path) -> int:
    """Count the commits that the WAL holds: https://www.sqlite.org/fileformat2.html#walformat.

    To read it does no harm; to open the database here would cost SQLite its locks.
    """
    wal = path.with_name(f"{path.name}-wal")
    content = wal.read_bytes() if wal.exists() else b""
    page_size, salts = int.from_bytes(content[8:12], "big"), content[16:24]
    frames = range(32, len(content), 24 + page_size)
    headers = [content[start : start + 24] for start in frames]
    return sum(header[8:16] == salts and header[4:8] != bytes(4) for header in headers)
