"""SQLAlchemy's engine and tables as no listener of the host program reaches them.

What a program registers on ``Engine``, ``Pool`` or a dialect it means for its own databases; on our
connections a ``PRAGMA`` of its recipe could end what a durable call rests on. What it registers on
``Table`` or ``Column``, such as a column more for each, our tables do not have. SQLAlchemy does not
hand listeners of a class down to a subclass that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Table
from sqlalchemy.engine import Connection, Engine

if TYPE_CHECKING:
    from types import ModuleType

    from sqlalchemy import URL, Dialect, Pool


class QuietTable(Table):
    """A table that is as it was written."""

    _sa_propagate_class_events = False


class QuietColumn(Column[Any]):
    """A column that is as it was written."""

    inherit_cache = True
    _sa_propagate_class_events = False


class _QuietConnection(Connection):
    _sa_propagate_class_events = False


class _QuietEngine(Engine):
    _sa_propagate_class_events = False
    _connection_cls = _QuietConnection


def quiet_engine(
    url: URL,
    dialect: type[Dialect],
    dbapi: ModuleType,
    pool: type[Pool],
    connect: Any,
    **pooled: Any,
) -> Engine:
    """Return an engine whose pool has the connections of the driver that ``connect()`` gives."""
    alone = {"_sa_propagate_class_events": False}
    quiet_pool: Any = type(pool.__name__, (pool,), alone)
    quiet_dialect: Any = type(
        dialect.__name__,
        (dialect,),
        {**alone, "supports_statement_cache": dialect.supports_statement_cache},
    )
    return _QuietEngine(quiet_pool(connect, **pooled), quiet_dialect(dbapi=dbapi), url)
