"""The connections of one handle to one database, and what is done on them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple

from beryl_groups.clock import monotonic
from beryl_groups.engine import BESIDE_OWN, MISSING, busy
from beryl_groups.errors import Closed, GroupError
from beryl_groups.locks import held
from beryl_groups.postgresql import checking, copies, errors, fork
from beryl_groups.postgresql.beside import beside_each_other, in_sequences
from beryl_groups.postgresql.connections import LostError
from beryl_groups.postgresql.errors import ERRORS
from beryl_groups.postgresql.looks import ServerLooks
from beryl_groups.postgresql.pool import Pool
from beryl_groups.postgresql.reads import as_read
from beryl_groups.postgresql.session import TransactionSession
from beryl_groups.postgresql.turns import Attempt, Turn, WithdrawnError, commit
from beryl_groups.postgresql.writes import SINGLE

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from beryl_groups.calls import Call
    from beryl_groups.postgresql.address import Address
from beryl_groups.postgresql.connections import Connection

T = TypeVar("T")
Given = TypeVarTuple("Given")

_BESIDE = 8


class Database:
    """One engine: a few connections, and no more of a queue than the server's own."""

    def __init__(
        self,
        address: Address,
        busy_timeout: float,
        synchronous: Literal["full", "normal"],
        pool_size: int,
    ) -> None:
        self.shown = address.shown
        self.busy_timeout = busy_timeout
        self.closed: str | None = None
        self.abandoned = False
        self._turn = Turn(synchronous, busy_timeout)
        self.pool = Pool(address, pool_size, busy_timeout, self._turn.session)
        # Of the transactions of this handle one has a connection, or all could be theirs.
        self._transactions = threading.RLock()
        self._owner: int | None = None
        self._looks: tuple[ServerLooks, ...] = ()
        fork.watch(self)

    @staticmethod
    def find(operation: Callable[..., Any], given: tuple[Any, ...]) -> Any:  # noqa: ARG004
        """Return MISSING: without a question to the server an answer could be stale."""
        return MISSING

    find_at_once = find

    def read(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        """Return what an operation reads; it is tried anew where the connection was broken."""
        reading = as_read(operation)
        deadline = monotonic() + self.busy_timeout
        while True:
            self.refuse_if_closed()
            try:
                connection = self.pool.take(deadline)
            except ERRORS as error:
                raise self.translated(error, within=True) from error
            try:
                result = reading(connection, *given)
            except GroupError:
                self.pool.give_back(connection)
                raise
            except BaseException as error:
                mistaken = errors.is_mistaken(error)
                if mistaken:
                    self._undo(connection)
                else:
                    self.pool.discard(connection)
                if (mistaken or isinstance(error, LostError)) and monotonic() < deadline:
                    continue
                if isinstance(error, ERRORS):
                    raise self.translated(error, within=True) from error
                raise
            self.pool.give_back(connection)
            return result

    def write(self, operation: Callable[[Connection, *Given], T], *given: *Given) -> T:
        self.refuse_beside_own()
        result: Any = self._write(operation, given, monotonic() + self.busy_timeout)
        return result  # type: ignore[no-any-return]  # no operation that writes gives anything

    def write_all(self, calls: Sequence[Call[Any]], wait: float) -> None:
        # One commit each, and beside each other: the server groups the commits of its clients by
        # itself, and a call that fails takes no other along. In threads, which those have who ask
        # for this: connections of an event loop would be a second engine, and its locks, losses and
        # interruptions were to be proved once more.
        self.refuse_beside_own()
        beside_each_other(
            partial(self._write_calls, monotonic() + wait),
            in_sequences(calls),
            min(self.pool.size - 1, _BESIDE),
        )

    @contextmanager
    def transaction(
        self, wait: float | None = None, thread: int | None = None
    ) -> Iterator[TransactionSession]:
        self.refuse_beside_own()
        deadline = monotonic() + (self.busy_timeout if wait is None else wait)
        with held(self._transactions, max(deadline - monotonic(), 0)) as in_time:
            self.refuse_if_closed()
            if not in_time:
                raise self.busy(by_transaction=True)
            with self._translating():
                connection = self._begin_alone(deadline)
            try:
                self._owner = thread or get_ident()
                yield TransactionSession(connection, partial(self.translated, within=True))
                with self._translating():
                    commit(connection)
            except BaseException:
                self._undo(connection)
                raise
            finally:
                self._owner = None
            self.pool.give_back(connection)
        self.committed()

    def committed(self) -> None:
        """Take note that a commit of this handle can be seen."""
        for looks in self._looks:
            looks.wake()

    def busy(self, *, by_transaction: bool = False) -> Exception:
        return busy(self.shown, self.busy_timeout, by_transaction=by_transaction)

    def refuse_if_closed(self) -> None:
        if self.closed is not None:
            raise Closed(self.closed)

    def refuse_beside_own(self) -> None:
        """Raise where this thread would wait for itself, or the handle is closed."""
        self.refuse_if_closed()
        if self._owner == get_ident():
            raise GroupError(BESIDE_OWN)

    def watching(self) -> ServerLooks:
        self.refuse_if_closed()
        looks = ServerLooks(self)
        self._looks = (*self._looks, looks)
        return looks

    def forget(self, looks: ServerLooks) -> None:
        """Take note that somebody looks no longer."""
        self._looks = tuple([each for each in self._looks if each is not looks])

    def backup(
        self,
        path: str | os.PathLike[str],
        progress: Callable[[int, int, int], None] | None = None,
    ) -> None:
        self.read(copies.backup, path, progress)

    def restore(
        self, path: str | os.PathLike[str], on_the_way: Callable[[], None] | None = None
    ) -> None:
        self.refuse_beside_own()
        copies.restore(self, path, on_the_way)

    def problems(self, on_the_way: Callable[[], None] | None = None) -> list[str]:
        return self.read(checking.problems, on_the_way)

    def known_faults(self) -> Iterable[Warning]:
        return ()

    def close(self, reason: str) -> None:
        """Close what is idle; a call that is under way closes its connection when it ends."""
        if self.abandoned:
            return
        if self.closed is None:
            self.closed = reason
        self.pool.close()
        for looks in self._looks:
            looks.interrupt()
            looks.wake()

    def abandon(self, reason: str) -> list[object]:
        """Refuse every later call, in a forked child that has none of the threads of its parent."""
        self.abandoned = True
        if self.closed is None:
            self.closed = reason
        self._transactions = threading.RLock()
        self._owner = None
        return self.pool.abandon()

    def translated(self, error: Exception, *, within: bool = False) -> Exception:
        """Return the error of ours that tells of an error of the driver, which is its cause.

        Whether it came up within the transaction of this handle says who it can have waited for.
        """
        if not isinstance(error, ERRORS):
            return error
        if errors.is_lock_timeout(error) and self._owner is not None and not within:
            ours = self.busy(by_transaction=True)
        else:
            ours = errors.translate(error, self.shown, self.busy_timeout)
        ours.__cause__ = error
        return ours

    def _write(
        self,
        operation: Callable[..., Any],
        given: tuple[Any, ...],
        deadline: float,
        claim: Callable[[], bool] | None = None,
    ) -> Any:
        """Carry out a single write; anew where it certainly came to nothing, for a while."""
        single = SINGLE[operation]
        while True:
            self.refuse_if_closed()
            try:
                connection = self.pool.take(deadline, to_write=True)
            except ERRORS as error:
                raise self.translated(error) from error
            try:
                single(Attempt(connection, self._turn, deadline, claim), *given)
            except GroupError:
                self.pool.give_back(connection)
                raise
            except BaseException as error:
                self._undo(connection)
                again = errors.is_transient(error) or isinstance(error, LostError)
                if again and monotonic() < deadline:
                    continue
                if isinstance(error, ERRORS):
                    raise self.translated(error) from error
                raise
            self.pool.give_back(connection)
            self.committed()
            return None

    def _begin_alone(self, deadline: float) -> Connection:
        """Give a connection in a transaction that nobody writes beside."""
        while True:
            connection = self.pool.take(deadline, to_write=True)
            try:
                Attempt(connection, self._turn, deadline).begin_alone()
            except BaseException as error:
                self._undo(connection)
                if not isinstance(error, LostError) or monotonic() >= deadline:
                    raise
            else:
                return connection

    def _write_calls(self, deadline: float, calls: Sequence[Call[Any]]) -> None:
        """Carry out those calls that begin, and have each keep what comes of it."""
        for call in calls:
            if call.work is not None:
                call.error = None
                try:
                    self._write(call.work, call.arguments, deadline, call.begin)
                except WithdrawnError:
                    continue
                except Exception as error:  # noqa: BLE001 - others may be stored, so it is its own
                    call.error = error

    def _undo(self, connection: Connection) -> None:
        """Have nothing left of what is under way on a connection."""
        if not connection.roll_back():
            self.pool.discard(connection)
        else:
            self.pool.give_back(connection)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except ERRORS as error:
            raise self.translated(error) from error
