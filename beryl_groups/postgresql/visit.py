"""A database as a command looks at it: nothing is made, migrated or waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from beryl_groups.errors import StorageFailed
from beryl_groups.postgresql import checking, copies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups.postgresql.address import Address
    from beryl_groups.postgresql.connections import Connection

T = TypeVar("T")
Given = TypeVarTuple("Given")

_VERSION = "SHOW server_version"
_SIZES = """
    SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint,
        coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'beryl_groups' AND c.relkind = 'r'
"""
