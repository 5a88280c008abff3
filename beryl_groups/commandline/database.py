"""The database that a command is given: opened to be read, or to be written.

A command that reads changes nothing. One that writes or watches does not migrate either: that is
for ``upgrade``, which the user calls on purpose.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple

from beryl_groups import revisions
from beryl_groups.broadcast import deliver
from beryl_groups.errors import GroupError, StartFailed, StorageFailed
from beryl_groups.groups import Groups, start
from beryl_groups.methods import GroupMethods
from beryl_groups.opening import is_missing, visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups.engine import Visit

T = TypeVar("T")
Given = TypeVarTuple("Given")

_BUSY_TIMEOUT = 5.0


class VisitedGroups(GroupMethods):
    """The methods that read, on a database that is looked at."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    def read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        """Run an operation that only reads."""
        return self.visit.read(operation, *given)

    _read = read

    def _write(self, *_: object, **__: object) -> NoReturn:
        raise GroupError(f"The database {self.visit.shown!r} was opened to be read.")

    def _deliver(
        self,
        channels: Callable[[str, str, Any], object],
        group: str | tuple[str, ...],
        topics: tuple[str, ...],
        event: str,
        payload: object,
    ) -> None:
        deliver(channels, group, topics, event, payload)


@contextmanager
def reading(database: str, *, any_revision: bool = False) -> Iterator[VisitedGroups]:
    """Give the groups of a database that is there and, unless told otherwise, current."""
    with closing(visit(database, _BUSY_TIMEOUT)) as visited:
        if not any_revision:
            _refuse_old(visited)
        try:
            yield VisitedGroups(visited)
        except StorageFailed:
            visited.confirm()
            raise
        visited.confirm()


def writing(database: str, *, make: bool = False) -> Groups:
    """Open the groups of a current database, or of a new one where the command may make it."""
    if not (make and is_missing(database)):
        with reading(database, any_revision=True) as groups:
            if not (make and groups.visit.revision is None):
                _refuse_old(groups.visit)
    return start(database, busy_timeout=_BUSY_TIMEOUT)


def is_empty(database: str) -> bool:
    """Tell whether there is a database, and no tables of ours in it."""
    with reading(database, any_revision=True) as groups:
        return groups.visit.revision is None


def bring_up_to_date(database: str) -> None:
    """Migrate the database, where it is not current."""
    start(database, busy_timeout=_BUSY_TIMEOUT).close()


def _refuse_old(visited: Visit) -> None:
    if visited.revision != revisions.HEAD:
        raise StartFailed(
            visited.shown,
            f"its schema has to be brought from {visited.revision or 'nothing'} to "
            f"{revisions.HEAD} first, which 'beryl-groups upgrade' does",
        )
