"""The handle that the tasks of an event loop hold, and ``start``, which gives it."""

from __future__ import annotations

import asyncio
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, TypeVarTuple, cast

from beryl_groups.aio.methods import AsyncGroupMethods
from beryl_groups.aio.threads import Job, UndoneError, ended_if_cancelled, own_thread, running_loop
from beryl_groups.aio.transaction import AsyncTransaction
from beryl_groups.aio.turns import Turns
from beryl_groups.aio.watch import AsyncWatch
from beryl_groups.engine import CLOSED, MISSING
from beryl_groups.errors import StorageFailed
from beryl_groups.lookout import Lookout
from beryl_groups.transaction import committed
from beryl_groups.watch import check_watch

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
    from types import TracebackType

    from beryl_groups.changes import Change
    from beryl_groups.engine import Engine

T = TypeVar("T")
Given = TypeVarTuple("Given")

_THREADS_THAT_READ = 4


class AsyncGroups(AsyncGroupMethods):
    """A handle on the groups of one database, for any number of tasks of one event loop.

    ``aio.start`` gives it. Its methods are those of ``Groups``, awaited, and ``exists`` and
    ``count`` for ``in`` and ``len``. It is an async context manager that closes itself; one that
    is forgotten gives a ``ResourceWarning``. On another event loop than its own it raises
    ``RuntimeError``, and in a process that was forked it is refused.

    A task that is cancelled while it waits for a call gets ``CancelledError``, and the handle
    goes on. A write whose turn had not come is not carried out then; one that is being carried
    out is finished first, and stored if it succeeds. A transaction that is cancelled leaves
    nothing, unless its commit had begun.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(engine)
        self._lookout = Lookout(engine)
        self._watches: weakref.WeakSet[AsyncWatch] = weakref.WeakSet()
        self._readers = ThreadPoolExecutor(_THREADS_THAT_READ, "beryl_groups-reads")

    async def _read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        self._refuse_if_unusable()
        answer = self._engine.find_at_once(operation, given)
        if answer is MISSING:
            read = self._engine.read
            return await Job(self._readers, lambda: read(operation, *given)).result()
        return cast("T", answer)

    def _write(
        self, operation: Callable[[Any, *Given], T], *given: *Given
    ) -> Coroutine[Any, Any, T]:
        self._refuse_if_unusable()
        return self._turns.write(operation, *given)

    async def _deliver(self, delivery: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await delivery()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncTransaction]:
        """Give an object with the same methods; all that it wrote lands on exit, or none of it.

        Where the block raises or is cancelled, nothing lands and nothing is broadcast. Reads
        inside see the writes made so far, reads elsewhere do not until the end. The writes of
        other tasks wait, so keep it short. A write through the handle itself in the same task
        would wait for its own end and is refused with a `GroupError`. Raises `Busy` where another
        writer stays too long.

        >>> async with groups.transaction() as transaction:
        ...     await transaction.create("release")
        ...     await transaction.add("release", "room:backend")
        ...     await transaction.broadcast(print, "release", "planned", "1.0")
        ...     print("not delivered yet")
        not delivered yet
        room:backend planned 1.0
        """
        self._refuse_if_unusable()
        turn, call = await self._turns.take()
        thread = self._turns.thread
        block = committed(self._engine, call.time_left(), threading.get_ident())

        def undo(cause: BaseException) -> None:
            try:
                block.__exit__(type(cause), cause, None)
            finally:
                self._turns.end(turn)

        try:
            begun = await Job(thread, block.__enter__).result()
            transaction = AsyncTransaction(begun, thread)
            yield transaction
            await Job(thread, partial(block.__exit__, None, None, None)).result_or_end()
        except BaseException as error:
            # It is undone with an error of its own, for a task that is cancelled does not wait for
            # the end of it: this one is on its way to the caller meanwhile.
            turn.owner = None
            failed = isinstance(error, StorageFailed)
            cause = StorageFailed(str(error)) if failed else UndoneError()
            try:
                undoing = Job(thread, partial(undo, cause))
            except RuntimeError:  # the interpreter is about to end, or the loop has
                undo(cause)
            else:
                if isinstance(error, Exception):
                    await undoing.result_or_end()
            raise
        self._turns.end(turn)
        for deliver in transaction.deliveries:
            await deliver()

    def watch(
        self,
        on_change: Callable[[Change], object] | None = None,
        *,
        group: str | Iterable[str] | None = None,
        prefix: str = "",
        known: Mapping[str, Iterable[str]] | None = None,
        interval: float = 0.05,
    ) -> AsyncWatch:
        """Tell what changes, whoever changes it: other tasks, other processes or the shell.

        To be awaited, used with ``async with``, or gone through with ``async for``. With
        ``on_change``, plain or ``async``, each `Change` is handed to that callback, in a task of
        the watch and one after the other. An ``Exception`` that it raises is logged on the logger
        ``beryl_groups``. Without, the `AsyncWatch` is an async iterator. ``group`` is a name or an
        iterable of names to watch; else all groups are whose names start with ``prefix``. A rename
        into the prefix is told as ``"created"``, and one out of it as ``"deleted"``.

        Told is the difference between two looks: applied in order to what was told before, it
        gives what the database holds. What comes and goes between two looks is not told. There is
        one after each write of this handle, and for the writes of others every ``interval``
        seconds. The first change told is the first after the watch has begun, or with ``known``, a
        mapping of names to topics that the application has already, the difference to that. Looks
        at much are farther apart, for no more than a twentieth of the time is spent on them.

        Where it begins it raises `StorageFailed` if the database cannot be read then; later it is
        tried again.

        >>> async with groups.watch(prefix="shift:") as changes:
        ...     await groups.add("shift:night", "room:ada", create=True)
        ...     await anext(changes)
        Change(kind='created', group='shift:night', topics=frozenset({'room:ada'}), old_name=None)
        """
        self._refuse_if_unusable()
        feed = check_watch(on_change, group, prefix, known, interval)
        watch = AsyncWatch(self._lookout, feed, on_change)
        self._watches.add(watch)
        return watch

    async def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy of the database to a new file while others read and write.

        The copy appears under its name when it is whole and on disk; where the task is cancelled
        before, it does not appear. Raises `StorageFailed`, also where there is something of that
        name already.

        >>> await groups.backup(folder / "copy.db")
        >>> async with aio.start(folder / "copy.db") as copy:
        ...     await copy.list_groups() == await groups.list_groups()
        True
        """
        self._refuse_if_unusable()
        await ended_if_cancelled(lambda look_up: self._engine.backup(path, look_up))

    async def restore(self, path: str | os.PathLike[str]) -> None:
        """Replace all groups by those of a backup, while other handles and processes are at work.

        It is one transaction: they see all of it at their next call or, where it raises, nothing
        has changed. The file at ``path`` is one that ``backup`` made, of this or an older version
        of the package, and stays as it is; a copy of it is made beside the database meanwhile, or,
        of a database on a server, in the folder for temporary files.
        What was restored is on disk when it returns, with ``synchronous="normal"`` too.

        Tables of the application's own stay as they are. A group that is restored keeps when it
        was created, and gets a new id, unless a row of such a table refers to it by a foreign key.
        Where the task is cancelled nothing has changed, unless the commit had begun. Raises
        `StorageFailed` where the file is no sound backup, or lacks a group to which such a row
        refers.

        >>> await groups.backup(folder / "last-night.db")
        >>> await groups.delete("team:engineering")
        >>> await groups.restore(folder / "last-night.db")
        >>> await groups.exists("team:engineering")
        True
        """
        self._refuse_if_unusable()
        self._turns.refuse_beside_own(asyncio.current_task())
        await ended_if_cancelled(lambda look_up: self._engine.restore(path, look_up))

    async def check(self) -> list[str]:
        """Look for damage, and return a sentence for each problem; none where all is sound.

        It reads the whole database. Where the SQLite beneath has the WAL-reset fault (3.7.0 to
        3.51.2, https://www.sqlite.org/wal.html), it gives a `WalResetWarning` as well.

        >>> await groups.check()
        []
        """
        self._refuse_if_unusable()
        for fault in self._engine.known_faults():
            warnings.warn(fault, stacklevel=2)
        return await ended_if_cancelled(self._engine.problems)

    async def close(self) -> None:
        """Close the handle; later calls raise `Closed`. To close it twice is fine.

        A call that waits raises `Closed`; one that is being carried out ends first, as it would
        have. A transaction that is open goes on to the end of its block. It may be called on any
        event loop.

        >>> handle = await aio.start(":memory:")
        >>> await handle.close()
        >>> await handle.create("too late")
        Traceback (most recent call last):
            ...
        beryl_groups.errors.Closed: The handle has been closed: open it again with start().
        """
        loop = running_loop()
        if self._engine.abandoned:
            return
        try:
            self._lookout.end()
            for watch in list(self._watches):
                if watch.loop is loop:
                    await watch.stop()
        finally:
            self._engine.closed = self._engine.closed or CLOSED
            try:
                job = own_thread(self._close)
            except RuntimeError:  # the interpreter is about to end, and starts no thread any more
                self._close()
            else:
                await job.result_or_end()

    def _close(self) -> None:
        self._lookout.close()
        carried_out = self._turns.close()
        if carried_out is not None:
            carried_out.result()
        self._engine.close(CLOSED)
        self._readers.shutdown(wait=False)

    def _refuse_if_unusable(self) -> None:
        self._engine.refuse_if_closed()
        if running_loop() is not self._loop:
            raise RuntimeError(
                "This handle belongs to the event loop that ran where it was opened: "
                "open the database with aio.start() on this one as well."
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self._engine.closed is not None else "open"
        return f"<AsyncGroups of {self._engine.shown!r}, {state}>"

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None and engine.closed is None:
            try:
                message = f"{self!r} was never closed."
                warnings.warn(message, ResourceWarning, source=self, stacklevel=2)
            finally:
                engine.close(CLOSED)
                self._turns.thread.shutdown(wait=False)
                self._readers.shutdown(wait=False)
