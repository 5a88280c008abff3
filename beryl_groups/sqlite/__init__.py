"""Groups in one SQLite file; here is the driver, which is one for the whole process.

A program that opens a file of groups by other means in the same process does so with this driver.

>>> from contextlib import closing
>>> from beryl_groups.sqlite import driver
>>> with beryl_groups.start(folder / "groups.db") as groups:
...     groups.create("team:engineering")
...     with closing(driver.connect(folder / "groups.db")) as connection:
...         connection.execute("SELECT count(*) FROM groups").fetchone()
(1,)
"""

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
