"""Statements of Core on a connection of the driver.

Each is compiled once, and its text is what the driver runs: to have Core execute it costs ten times
what SQLite needs for a read. Rows are fetched at once: a cursor that has a name would be held by
the traceback of an error, and hold the file.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.sqlite import dialect

from beryl_groups.sqlite import driver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.sql.expression import Executable

_DIALECT = dialect(paramstyle="qmark")


class _Texts(dict["Executable", str]):
    def __missing__(self, statement: Executable) -> str:
        text = self[statement] = str(statement.compile(dialect=_DIALECT))  # type: ignore[attr-defined]
        return text


SQL = _Texts()
"""The text of each statement."""


class CoreConnection(driver.Connection):
    """A connection as operations use it, in autocommit until it says BEGIN itself."""

    def rows(self, statement: Executable, *values: object) -> list[tuple[Any, ...]]:
        return self.execute(SQL[statement], values).fetchall()

    def stream(self, statement: Executable, *values: object) -> Iterator[tuple[Any, ...]]:
        return self.execute(SQL[statement], values)

    def count(self, statement: Executable, *values: object) -> int:
        return self.execute(SQL[statement], values).rowcount

    def run_many(self, statement: Executable, rows: Sequence[tuple[object, ...]]) -> None:
        self.executemany(SQL[statement], rows)

    def texts(self, names: list[Any]) -> list[str]:
        try:
            "".join(names)
        except TypeError as error:
            reason = "the file is damaged: a name in it is no text"
            raise driver.DatabaseError(reason) from error
        return names

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Hold a read transaction, which holds up no writer, if none is open yet."""
        if self.in_transaction:
            yield
            return
        self.execute("BEGIN")
        try:
            yield
        finally:
            self.execute("ROLLBACK")
