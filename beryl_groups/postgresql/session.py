"""A write transaction that is open, as the user of a handle writes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from beryl_groups.postgresql.errors import ERRORS
from beryl_groups.postgresql.reads import as_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.postgresql.connections import Connection

T = TypeVar("T")
Given = TypeVarTuple("Given")


class TransactionSession:
    """The connection of a transaction that nobody else writes beside."""

    def __init__(
        self, connection: Connection, translated: Callable[[Exception], Exception]
    ) -> None:
        self._connection = connection
        self._translated = translated

    def read(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        return self.write(as_read(operation), *given)

    def write(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        try:
            return operation(self._connection, *given)
        except ERRORS as error:
            raise self._translated(error) from error
