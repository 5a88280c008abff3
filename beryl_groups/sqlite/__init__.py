"""Groups in one SQLite file; here is the driver, which is one for the whole process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3  # noqa: TID251
else:
    try:
        from pysqlite3 import dbapi2 as sqlite3  # from the extra "sqlite"
    except ImportError:
        import sqlite3  # noqa: TID251

driver = sqlite3
Error = driver.Error

Errors = (Error, UnicodeDecodeError, MemoryError)
"""What the driver raises: what SQLite says of a schema that is no UTF-8, it cannot put in words,
and where SQLite has no memory it says so as Python does."""
