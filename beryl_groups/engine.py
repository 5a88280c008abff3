"""What a database has to offer to those who hold a handle on it.

An *operation* is a function of `operations` or `figures`: it names what is to be read or written,
and its arguments have been checked. How it is done is for the engine to say, which may run the
function itself on a `Connection` of its own or do what it stands for in another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, TypeVarTuple

from beryl_groups.errors import Busy

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence, Set
    from contextlib import AbstractContextManager

    from sqlalchemy.sql.expression import Executable

    from beryl_groups.calls import Call
    from beryl_groups.changes import Difference

T = TypeVar("T")
Given = TypeVarTuple("Given")

MISSING: Final = object()
"""What `find` gives where nothing is kept, since None may be an answer."""

Range = tuple[str, str | None]
"""The least of some names, and what is above all of them; with None nothing is."""

CLOSED = "The handle has been closed: open it again with start()."
"""Why a call that comes after ``close()`` is refused."""

BESIDE_OWN = (
    "This thread has a transaction open, and a write beside it would wait for itself: write "
    "through the object that transaction() gave, or after its block."
)
"""Why a write in a thread whose own transaction is open is refused."""


def busy(shown: str, busy_timeout: float, *, by_transaction: bool = False) -> Busy:
    """Say who held the database: a transaction of the very handle, or somebody else."""
    if not by_transaction:
        who, advice = "Another writer", ""
    else:
        who = "A transaction of this handle"
        advice = (
            " What is a part of it has to be written through the object that transaction() gave, "
            "and all else waits for the end of its block."
        )
    return Busy(f"{who} held the database {shown!r} for longer than {busy_timeout:g} s.{advice}")


class Connection(Protocol):
    """Where an operation runs its statements; values come in the order in which they stand there.

    It commits nothing, and what it raises is for its engine to translate.
    """

    def rows(self, statement: Executable, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows, read at once."""

    def stream(self, statement: Executable, *values: object) -> Iterator[tuple[Any, ...]]:
        """Give one row after the other, however many there are."""

    def count(self, statement: Executable, *values: object) -> int:
        """Return how many rows a statement has written."""

    def run_many(self, statement: Executable, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a statement that writes once for the values of each row."""

    def texts(self, names: list[Any]) -> list[str]:
        """Return what was read, or raise where damage has made something else of a text."""

    def moment(self) -> AbstractContextManager[None]:
        """Have all that is read in the block be as of one moment."""


class Session(Protocol):
    """Something on which operations run; what they raise are errors of this package."""

    def read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        """Return what an operation reads; it holds nobody up and sees every commit before it."""

    def write(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        """Carry an operation out, whole or not at all."""


class Engine(Session, Protocol):
    """One database that is open, for any number of threads.

    A `read` sees all that any call of anybody had written when it returned. A `write` is durable
    when it returns, waits for other writers no longer than ``busy_timeout`` seconds, and is refused
    at once in a thread whose own transaction is open. Neither raises anything but errors of this
    package and what the operation raises. In a process that was forked every call is refused.
    """

    @property
    def shown(self) -> str:
        """What to call the database in a sentence; it holds no secret."""

    busy_timeout: float
    closed: str | None
    """Why every call is refused, once it is closed."""
    abandoned: bool
    """Whether this is the child of a fork, which must not touch what it inherited."""

    @property
    def find(self) -> Callable[[Callable[..., Any], tuple[Any, ...]], Any]:
        """Return what a read would, if that is certain without a wait for storage; or MISSING."""

    @property
    def find_at_once(self) -> Callable[[Callable[..., Any], tuple[Any, ...]], Any]:
        """Do what `find` does, and give MISSING too where that would wait for another thread."""

    def write_all(self, calls: Sequence[Call[Any]], wait: float) -> None:
        """Carry out those calls that `begin`, in one commit; each stands or falls alone.

        Where it raises nothing of them is stored, and those that began may begin again.
        """

    def transaction(
        self, wait: float | None = None, thread: int | None = None
    ) -> AbstractContextManager[Session]:
        """Give a session that reads its own writes; it commits on exit, or nothing of it lands.

        Nobody else writes meanwhile. It waits ``wait`` seconds for others, if not ``busy_timeout``,
        and is the transaction of another thread than this one, where that is given.
        """

    def busy(self, *, by_transaction: bool = False) -> Exception:
        """Return the error of a call that has waited in vain, here or elsewhere."""

    def refuse_if_closed(self) -> None:
        """Raise `Closed` where the engine is."""

    def watching(self) -> Looks:
        """Give what looks for changes, whoever makes them."""

    def backup(
        self,
        path: str | os.PathLike[str],
        progress: Callable[[int, int, int], None] | None = None,
    ) -> None:
        """Write the groups as of one moment to a new file; what `progress` raises ends it."""

    def restore(
        self, path: str | os.PathLike[str], on_the_way: Callable[[], None] | None = None
    ) -> None:
        """Replace all groups by those of a backup, in one transaction, or change nothing.

        It is refused at once in a thread whose own transaction is open. No id of a group is given
        twice. What `on_the_way` raises ends it.
        """

    def problems(self, on_the_way: Callable[[], None] | None = None) -> list[str]:
        """Return a sentence for each thing that is wrong; what `on_the_way` raises ends it."""

    def known_faults(self) -> Iterable[Warning]:
        """Give a warning for each fault that the software beneath is known to have."""

    def close(self, reason: str) -> None:
        """Refuse every later call with this reason; what is under way ends as it would have."""


class Looks(Protocol):
    """Looks at the groups, and remembers what was seen last.

    One thread calls it; `wake` may be called by any, in a signal handler and in a finalizer too.
    """

    lost: bool
    """Whether a look has failed since what is watched is no longer there, and each later will."""

    elsewhere: float
    """For how many seconds the last look has kept another machine busy."""

    def wait(self, seconds: float) -> None:
        """Return when something may have changed, which is looked up every so many seconds.

        Also where `wake` is called, and after a while in any case.
        """

    def wake(self) -> None:
        """End the wait, or have the next one end at once."""

    def look(self, ranges: Set[Range]) -> Difference:
        """Return what became of the groups of these names since the last look, as of one moment.

        All that any call of anybody had written before this is seen. Of groups whose names were in
        no range at the last look nothing is told. Where it raises, the next look tells it all.
        """

    def interrupt(self) -> None:
        """Cut a look short that is under way: it raises; any thread may call it."""

    def held(self, names: Container[str]) -> dict[int, tuple[str, frozenset[str]]]:
        """Return the groups of these names as they were seen last, by what tells them apart."""

    def close(self) -> None:
        """Let go of the database, and forget what was seen; to close it twice is fine."""


class Visit(Protocol):
    """A database as a command looks at it: nothing is made, migrated or waited for."""

    @property
    def shown(self) -> str:
        """What to call the database in a sentence; it holds no secret."""

    @property
    def revision(self) -> str | None:
        """The revision of its schema, None where it holds nothing yet."""

    on_the_way: Callable[[], None] | None
    """Called now and then while something long is read; what it raises ends that."""

    def read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        """Return what an operation reads."""

    def problems(self) -> list[str]:
        """Return a sentence for each thing that is wrong."""

    def backup(self, path: str, progress: Callable[[int, int, int], None]) -> None:
        """Write the database as of one moment, of whatever revision, to a new file."""

    def known_faults(self) -> Iterable[Warning]:
        """Give a warning for each fault that the software beneath is known to have."""

    def sizes(self) -> dict[str, int]:
        """Return how many bytes each part of it takes, by what the part is called."""

    def software(self) -> dict[str, str]:
        """Return the version of the software beneath, by its name."""

    def confirm(self) -> None:
        """Raise where what has been read so far may be wrong."""

    def close(self) -> None:
        """Let go of the database."""
