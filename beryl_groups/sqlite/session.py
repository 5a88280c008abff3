"""A write transaction that is open, as the user of a handle writes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from beryl_groups import sqlite
from beryl_groups.sqlite.touched import EVERYTHING, touched_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.sqlite.cache import Touched
    from beryl_groups.sqlite.connections import Connection

T = TypeVar("T")
Given = TypeVarTuple("Given")

_MANY = 1000  # so many touched answers are not told apart any more


class WriteSession:
    """The write connection, and what has been touched through it."""

    def __init__(
        self,
        connection: Connection,
        touched: list[Touched],
        translated: Callable[[Exception], Exception],
    ) -> None:
        self._connection = connection
        self._touched = touched
        self._translated = translated

    def read(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        try:
            return operation(self._connection, *given)
        except sqlite.Errors as error:
            raise self._translated(error) from error

    def write(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        # Before the write: an interrupt after it must not leave an answer that it changed.
        self._touched += touched_by(operation, given)
        if len(self._touched) > _MANY:
            self._touched[:] = EVERYTHING
        return self.read(operation, *given)
