"""All that are compared, in the order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.alchemy import Core, Orm
from tests.benchmarks.contender import Ours
from tests.benchmarks.peers import DiskCache, Lmdb, Shelve, SqliteDict
from tests.benchmarks.raw import Raw
from tests.benchmarks.redis_server import Redis

if TYPE_CHECKING:
    from tests.benchmarks.contender import Kind

KINDS: tuple[Kind, ...] = (
    Ours,
    Raw,
    Core,
    Orm,
    DiskCache,
    SqliteDict,
    Lmdb,
    Shelve,
    Redis,
)
