"""Looks for changes, which tell the difference between the database and what was seen of it last.

A look first asks which transactions of the server have ended: where that is what it was, nothing
has changed. So it is one short question every `interval`, and the groups are read where somebody
has committed something since. ``NOTIFY`` would save the question, and have all writers commit one
after the other: of 5,000 commits a second on 16 connections it left 1,000, watched or not.

Each look is as of one moment, and what it saw is kept when it has told it. The topics of a group
are kept as they came, as one text, and read where it is another one than before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from beryl_groups.bell import Bell
from beryl_groups.changes import Delta, Difference, came, went
from beryl_groups.errors import StorageFailed
from beryl_groups.postgresql import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Container, Set

    from beryl_groups.engine import Range
    from beryl_groups.postgresql.connections import Connection
    from beryl_groups.postgresql.database import Database

# Ids of transactions that have begun: the first that has not ended, the first that has not begun,
# and those between that have not ended. No commit can happen without a change of it.
_MOMENT = "SELECT pg_current_snapshot()::text"
_GROUPS = f"""
    SELECT id, name, created_at, ARRAY(
        SELECT topic FROM {SCHEMA}.group_topics WHERE group_id = id ORDER BY topic
    )::text
    FROM {SCHEMA}.groups WHERE name >= $1 AND ($2::text IS NULL OR name < $2)
"""  # noqa: S608 - a constant
_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,"]+)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_GONE = {"3F000", "42P01"}

_NOTHING = Difference({}, {})

Group = tuple[str, str, str]
"""Its name, when it was created, and its topics as the server shows an array."""


class ServerLooks:
    """The looks of one handle."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bell = Bell()
        self._moment: str | None = None
        self._ranges: Set[Range] = frozenset()
        self._seen: dict[int, Group] = {}
        self.lost = False

    def wait(self, seconds: float) -> None:
        self._bell.wait(seconds)

    def wake(self) -> None:
        self._bell.ring()

    def look(self, ranges: Set[Range]) -> Difference:
        try:
            return self._database.read(self._look, ranges)
        except StorageFailed as error:
            self.lost = getattr(error.__cause__, "sqlstate", None) in _GONE
            raise

    def held(self, names: Container[str]) -> dict[int, tuple[str, frozenset[str]]]:
        self._database.refuse_if_closed()
        return {
            id_: (name, parsed(topics))
            for id_, (name, _, topics) in self._seen.items()
            if name in names
        }

    def close(self) -> None:
        self._database.forget(self)
        self._moment, self._seen, self._ranges = None, {}, frozenset()

    def _look(self, connection: Connection, ranges: Set[Range]) -> Difference:
        ((moment,),) = connection.rows(_MOMENT)
        if moment == self._moment and ranges == self._ranges:
            return _NOTHING
        with connection.moment():
            ((moment,),) = connection.rows(_MOMENT)
            found: dict[int, Group] = {}
            for lowest, above in ranges:
                for id_, *group in connection.rows(_GROUPS, lowest, above):
                    found[id_] = tuple(group)
        difference = self._see(found, ranges)
        self._moment, self._ranges, self._seen = moment, ranges, found
        return difference

    def _see(self, found: dict[int, Group], ranges: Set[Range]) -> Difference:
        """Return what became of the groups, of which those in a new range are seen only now."""
        seen = self._seen
        if ranges != self._ranges:
            stay = {id_: group for id_, group in seen.items() if _is_in(group[0], ranges)}
            begun = {
                id_: group
                for id_, group in found.items()
                if id_ not in seen and not _is_in(group[0], self._ranges)
            }
            seen = stay | begun
        return difference(seen, found)


def difference(seen: dict[int, Group], found: dict[int, Group]) -> Difference:
    """Return what leads from what was seen to what was found.

    A group is told apart by its id, which is never given twice. A restored group has another one,
    but the name and the moment of creation of what was there before: it is the same group.
    """
    changed = {id_ for id_ in {*seen, *found} if seen.get(id_) != found.get(id_)}
    came_now = {found[id_][:2]: id_ for id_ in changed if id_ not in seen}
    again = {
        id_: came_now[seen[id_][:2]]
        for id_ in changed
        if id_ not in found and seen[id_][:2] in came_now
    }
    deltas: dict[int, Delta] = {}
    replaced = set(again.values())
    for id_ in changed - replaced:
        new_id = again.get(id_, id_)
        delta = _delta(seen.get(id_), found.get(new_id))
        if delta:
            deltas[new_id] = delta
    return Difference(deltas, again)


def _delta(before: Group | None, after: Group | None) -> Delta:
    was = parsed(before[2]) if before else frozenset()
    holds = parsed(after[2]) if after else frozenset()
    if before is None or after is None:
        return went(before[0], was) if before else came(after[0] if after else None, holds)
    held = holds if before[0] != after[0] else None
    return Delta(before[0], after[0], holds - was, was - holds, held)


def parsed(array: str) -> frozenset[str]:
    """Return the texts of an array as the server shows it, which has no NULL in it."""
    if "\\" not in array and '"' not in array:
        return frozenset(array[1:-1].split(",")) if array != "{}" else frozenset()
    return frozenset(
        [
            bare or _ESCAPED.sub(r"\1", quoted)
            for quoted, bare in _ITEM.findall(array, 1, len(array) - 1)
        ]
    )


def _is_in(name: str, ranges: Set[Range]) -> bool:
    return any(lowest <= name and (above is None or name < above) for lowest, above in ranges)
