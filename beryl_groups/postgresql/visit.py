"""A database as a command looks at it: nothing is made, migrated or waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from beryl_groups.errors import StartFailed, StorageFailed
from beryl_groups.postgresql import SCHEMA, checking, copies, errors, schema
from beryl_groups.postgresql.address import with_patience
from beryl_groups.postgresql.connections import Connection
from beryl_groups.postgresql.reads import as_read
from beryl_groups.postgresql.turns import Turn
from beryl_groups.sqlite.files import shown_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from beryl_groups.postgresql.address import Address

T = TypeVar("T")
Given = TypeVarTuple("Given")

_VERSION = "SHOW server_version"
_SIZES = f"""
    SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint,
        coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = '{SCHEMA}' AND c.relkind = 'r'
"""  # noqa: S608 - a constant


class ServerVisit:
    """One connection to a database that is there."""

    def __init__(self, connection: Connection, address: Address, busy_timeout: float) -> None:
        self._connection = connection
        self._busy_timeout = busy_timeout
        self.shown = address.shown
        self.on_the_way: Callable[[], None] | None = None
        schema.refuse_unfit(connection.rows, self.shown)
        self.revision = schema.revision(connection.rows, self.shown)

    def read(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        try:
            return as_read(operation)(self._connection, *given)
        except errors.ERRORS as error:
            raise errors.translate(error, self.shown, self._busy_timeout) from error

    def problems(self) -> list[str]:
        return self.read(checking.problems, self.on_the_way)

    def backup(self, path: str, progress: Callable[[int, int, int], None]) -> None:
        if self.revision is None:
            raise StorageFailed(
                f"The backup {shown_path(path)} was not made: {self.shown!r} holds nothing."
            )
        self.read(copies.backup, path, progress)

    def known_faults(self) -> Iterable[Warning]:
        return ()

    def sizes(self) -> dict[str, int]:
        ((tables, indexes),) = self.read(Connection.rows, _SIZES)
        return {"table_bytes": tables, "index_bytes": indexes}

    def software(self) -> dict[str, str]:
        ((version,),) = self.read(Connection.rows, _VERSION)
        return {"postgresql": version.partition(" ")[0]}

    def confirm(self) -> None:
        """Do nothing: what a server lets be read is right."""

    def close(self) -> None:
        self._connection.close()


def visit(address: Address, busy_timeout: float) -> ServerVisit:
    """Connect to a database to look at it, or raise `StartFailed`."""
    connection = Connection()
    try:
        connection.open(with_patience(address, busy_timeout), Turn("full", busy_timeout).session)
        return ServerVisit(connection, address, busy_timeout)
    except errors.ERRORS as error:
        connection.close()
        raise StartFailed(address.shown, errors.reason_to_refuse(error, busy_timeout)) from error
    except BaseException:
        connection.close()
        raise
