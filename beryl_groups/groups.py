"""The handle that a user holds, and ``start``, which gives it."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, TypeVarTuple, cast

from beryl_groups import broadcast, operations
from beryl_groups.broadcast import refuse_async
from beryl_groups.engine import CLOSED, MISSING
from beryl_groups.lookout import Lookout
from beryl_groups.methods import GroupMethods
from beryl_groups.opening import open_engine
from beryl_groups.transaction import committed
from beryl_groups.watch import Watch, check_watch

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from sqlalchemy import URL

    from beryl_groups.changes import Change
    from beryl_groups.engine import Engine
    from beryl_groups.transaction import Transaction

T = TypeVar("T")
Given = TypeVarTuple("Given")


def start(
    database: str | os.PathLike[str] | URL,
    *,
    busy_timeout: float = 5.0,
    synchronous: Literal["full", "normal"] = "full",
    pool_size: int | None = None,
) -> Groups:
    """Open the groups of a database file, which is made where there is none.

    ``database`` is a path (a ``str`` or an ``os.PathLike``), ``":memory:"``, or a SQLAlchemy URL.
    The file is made for its owner alone (mode 0600); its folder has to be there. ``busy_timeout``
    says how many seconds a call waits for another writer. With ``synchronous="full"`` a call that
    returned survives a power cut; with ``"normal"`` it survives the end of the process, and a
    power cut may take the last moments, but never the file.

    A URL of PostgreSQL (``postgresql+psycopg://user@host/database``) opens the groups of that
    database, with the same promises and up to ``pool_size`` connections, 33 unless told otherwise.

    Raises `StartFailed` with the reason, and leaves the file as it was.

    >>> import beryl_groups
    >>> with beryl_groups.start(":memory:") as groups:
    ...     groups.create("team:engineering")
    ...     list(groups)
    ['team:engineering']
    """
    return Groups(open_engine(database, busy_timeout, synchronous, pool_size))


class Groups(GroupMethods):
    """A handle on the groups of one database, for any number of threads.

    ``start`` gives it. It is a context manager that closes itself; one that is forgotten gives a
    ``ResourceWarning``. In a process that was forked it is refused: open another one there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._find = engine.find
        self._lookout = Lookout(engine)

    def _read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        return self._engine.read(operation, *given)

    def topics(self, name: str) -> frozenset[str]:
        # What is found under a name has been checked when it was kept.
        found = self._find(operations.topics, (name,)) if type(name) is str else MISSING
        return super().topics(name) if found is MISSING else cast("frozenset[str]", found)

    def _write(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        return self._engine.write(operation, *given)

    def _deliver(
        self,
        channels: Callable[[str, str, Any], object],
        group: str | tuple[str, ...],
        topics: tuple[str, ...],
        event: str,
        payload: object,
    ) -> None:
        broadcast.deliver(channels, group, topics, event, payload)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Give an object with the same methods; all that it wrote lands on exit, or none of it.

        Where the block raises, nothing lands and nothing is broadcast. Reads inside see the
        writes made so far, reads elsewhere do not until the end. Other writers wait, so keep it
        short. A write through the handle itself in the same thread would wait for its own end and
        is refused with a `GroupError`. Raises `Busy` where another writer stays too long.

        >>> with groups.transaction() as transaction:
        ...     transaction.create("release")
        ...     transaction.add("release", "room:backend")
        ...     transaction.broadcast(print, "release", "planned", "1.0")
        ...     print("not delivered yet")
        not delivered yet
        room:backend planned 1.0
        """
        with committed(self._engine) as transaction:
            yield transaction
        for deliver in transaction.deliveries:
            deliver()

    def watch(
        self,
        on_change: Callable[[Change], object] | None = None,
        *,
        group: str | Iterable[str] | None = None,
        prefix: str = "",
        known: Mapping[str, Iterable[str]] | None = None,
        interval: float = 0.05,
    ) -> Watch:
        """Tell what changes, whoever changes it: other threads, other processes or the shell.

        With ``on_change`` each `Change` is handed to that callback, in a thread of the watch. An
        ``Exception`` that it raises is logged on the logger ``beryl_groups``. Without, the `Watch`
        is an iterator, which waits for each. ``group`` is a name or an iterable of names to watch;
        else all groups are whose names start with ``prefix``. A rename into the prefix is told as
        ``"created"``, and one out of it as ``"deleted"``.

        Told is the difference between two looks: applied in order to what was told before, it
        gives what the database holds. What comes and goes between two looks is not told. There is
        one after each write of this handle, and for the writes of others every ``interval``
        seconds. The first change told is the first after this call, or with ``known``, a mapping
        of names to topics that the application has already, the difference to that. Looks at much
        are farther apart, for no more than a twentieth of the time is spent on them.

        Raises `StorageFailed` where the database cannot be read now; later it is tried again.

        >>> with groups.watch(prefix="shift:") as changes:
        ...     groups.add("shift:night", "room:ada", create=True)
        ...     next(changes)
        Change(kind='created', group='shift:night', topics=frozenset({'room:ada'}), old_name=None)
        """
        feed = check_watch(on_change, group, prefix, known, interval)
        refuse_async(on_change)
        return Watch(self._lookout, feed, on_change)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy of the database to a new file while others read and write.

        The copy appears under its name when it is whole and on disk. Raises `StorageFailed`,
        also where there is something of that name already.

        >>> groups.backup(folder / "copy.db")
        >>> with beryl_groups.start(folder / "copy.db") as copy:
        ...     list(copy) == list(groups)
        True
        """
        self._engine.backup(path)

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Replace all groups by those of a backup, while other handles and processes are at work.

        It is one transaction: they see all of it at their next call or, where it raises, nothing
        has changed. The file at ``path`` is one that ``backup`` made, of this or an older version
        of the package, and stays as it is; a copy of it is made beside the database meanwhile, or,
        of a database on a server, in the folder for temporary files.
        What was restored is on disk when it returns, with ``synchronous="normal"`` too.

        Tables of the application's own stay as they are. A group that is restored keeps when it
        was created, and gets a new id, unless a row of such a table refers to it by a foreign key.
        Raises `StorageFailed` where the file is no sound backup, or lacks a group to which such a
        row refers.

        >>> groups.backup(folder / "last-night.db")
        >>> groups.delete("team:engineering")
        >>> groups.restore(folder / "last-night.db")
        >>> "team:engineering" in groups
        True
        """
        self._engine.restore(path)

    def check(self) -> list[str]:
        """Look for damage, and return a sentence for each problem; none where all is sound.

        It reads the whole database. Where the SQLite beneath has the WAL-reset fault (3.7.0 to
        3.51.2, https://www.sqlite.org/wal.html), it gives a `WalResetWarning` as well; the
        extra ``beryl_groups[sqlite]`` brings one without.

        >>> groups.check()
        []
        """
        for fault in self._engine.known_faults():
            warnings.warn(fault, stacklevel=2)
        return self._engine.problems()

    def close(self) -> None:
        """Close the handle; later calls raise `Closed`. To close it twice is fine.

        A call of another thread that is under way ends as it would have, or raises `Closed`.

        >>> handle = beryl_groups.start(":memory:")
        >>> handle.close()
        >>> handle.create("too late")
        Traceback (most recent call last):
            ...
        beryl_groups.errors.Closed: The handle has been closed: open it again with start().
        """
        self._lookout.close()
        self._engine.close(CLOSED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._engine.closed is not None else "open"
        return f"<Groups of {self._engine.shown!r}, {state}>"

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None and engine.closed is None:
            try:
                message = f"{self!r} was never closed."
                warnings.warn(message, ResourceWarning, source=self, stacklevel=2)
            finally:
                self.close()
