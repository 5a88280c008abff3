"""The library broken on purpose, which has to be noticed, and slowed down, which has to be right.

Each is applied in the processes of a run and nowhere else. A slowed library spends more time
where a race could be lost.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from beryl_groups.engine import MISSING
from beryl_groups.sqlite import cache
from beryl_groups.sqlite.cache import Cache
from beryl_groups.sqlite.store import Store
from beryl_groups.transaction import Transaction
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from beryl_groups.sqlite.connections import Connection


def _pause() -> None:
    time.sleep(random.choice((0, 0, 0.0005, 0.003)))


def never_looks() -> None:
    """Whatever is kept is answered: nobody looks at the version."""

    def find(self: Cache, kind: cache.Kind, arguments: tuple[Any, ...]) -> Any:
        with self._lock:
            kept = self._young.get(kind, {}).get(arguments)
            return MISSING if kept is None else kept[0]

    Cache.find = find  # type: ignore[method-assign]


def looks_after_the_read() -> None:
    """The version of an answer is the one after it was read, not the one before."""

    def read(self: Store, operation: Callable[..., Any], *args: Any) -> Any:
        answer = self.cache.find(operation, args)
        if answer is MISSING:
            answer = self.read_file(operation, *args)
            _pause()
            self.cache.keep(operation, args, answer, self.cache.version())
        return answer

    Store.read = read  # type: ignore[method-assign, assignment]


def believes_to_be_alone() -> None:
    """After a commit the new version is taken for its own, whoever else has committed."""
    sound = Cache.after_commit

    def after_commit(self: Cache, writer: Connection, touched: Iterable[cache.Touched]) -> None:
        _pause()
        self._writer, self._writers_version = writer, cache._data_version(writer)
        sound(self, writer, touched)

    Cache.after_commit = after_commit  # type: ignore[method-assign]


def keeps_what_it_touched() -> None:
    """After a commit nothing is dropped."""
    Cache._drop = lambda *arguments: None  # type: ignore[method-assign]


def keeps_what_a_transaction_reads() -> None:
    """What a transaction reads of its own writes is kept before it is committed."""
    sound = Transaction._read

    def read(self: Transaction, operation: Callable[..., Any], *args: Any) -> Any:
        answer = sound(self, operation, *args)
        known = store(self).cache
        known.keep(operation, args, answer, known.version())
        return answer

    Transaction._read = read  # type: ignore[assignment]


def slow_to_keep() -> None:
    """Time passes between a read and the moment when it is kept."""
    sound = Cache.keep

    def keep(
        self: Cache, kind: cache.Kind, arguments: tuple[Any, ...], answer: Any, version: int | None
    ) -> None:
        _pause()
        sound(self, kind, arguments, answer, version)

    Cache.keep = keep  # type: ignore[method-assign]


def slow_to_commit() -> None:
    """Time passes between the look before a commit and the commit."""
    sound = Cache.before_commit

    def before_commit(self: Cache, writer: Connection) -> None:
        sound(self, writer)
        _pause()

    Cache.before_commit = before_commit  # type: ignore[method-assign]


def slow_to_clear_up() -> None:
    """Time passes between a commit and the moment when it shows in the cache."""
    sound = Cache.after_commit

    def after_commit(self: Cache, writer: Connection, touched: Iterable[cache.Touched]) -> None:
        _pause()
        sound(self, writer, touched)

    Cache.after_commit = after_commit  # type: ignore[method-assign]


def slow_to_look() -> None:
    """Time passes on both sides of each look at the version."""
    sound = Cache._look

    def look(self: Cache) -> int | None:
        _pause()
        version = sound(self)
        _pause()
        return version

    Cache._look = look  # type: ignore[method-assign]


BROKEN = {
    broken.__name__: broken
    for broken in (
        never_looks,
        looks_after_the_read,
        believes_to_be_alone,
        keeps_what_it_touched,
        keeps_what_a_transaction_reads,
    )
}
SLOWED = {
    slowed.__name__: slowed
    for slowed in (slow_to_keep, slow_to_commit, slow_to_clear_up, slow_to_look)
}
VARIANTS = BROKEN | SLOWED
