"""What stands behind a handle on a file, for tests of how it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beryl_groups.sqlite.session import WriteSession
from beryl_groups.sqlite.store import Store

if TYPE_CHECKING:
    from beryl_groups import Groups, Transaction
    from beryl_groups.aio import AsyncGroups
    from beryl_groups.sqlite.connections import Connection


def store(handle: Groups | AsyncGroups | Transaction) -> Store:
    engine = handle._engine
    assert isinstance(engine, Store)
    return engine


def connection(transaction: Transaction) -> Connection:
    """Return the driver's connection that a transaction writes through."""
    session = transaction._session
    assert isinstance(session, WriteSession)
    return session._connection
