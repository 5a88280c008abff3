"""What was seen of the groups last, and how it differs from what there is.

The server is asked for a digest of each group that is watched, and for the topics of those alone
whose digest has changed: so a look costs the server one pass over what is watched, and the network
what has changed.

A group is told apart by its id, which is never given twice. A restored group has another one, but
the name and the moment of creation of what was there before: it is the same group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from beryl_groups.changes import Difference, again, deltas
from beryl_groups.postgresql import SCHEMA
from beryl_groups.postgresql.texts import bound

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Set

    from beryl_groups.engine import Range
    from beryl_groups.postgresql.connections import Connection

_ABOVE_ALL_NAMES = "\U0010ffff" * 257  # of which 256 are the longest name

# Two sums of 64 bits, so that what differs by chance has the same digest in one case of 2**128.
_DIGESTS = f"""
WITH watched AS (
    SELECT DISTINCT id, name, created_at
    FROM unnest($1::text[], $2::text[]) AS range (lowest, above)
    JOIN {SCHEMA}.groups ON name >= lowest AND name < above
)
SELECT id, name, created_at, count(topic), concat_ws(
    ' ', bit_xor(hashtextextended(topic, 1)), sum(hashtextextended(topic, 2))
)
FROM watched LEFT JOIN {SCHEMA}.group_topics ON group_id = id
GROUP BY id, name, created_at
"""  # noqa: S608 - a constant
_TOPICS = f"""
SELECT group_id, topic FROM {SCHEMA}.group_topics
WHERE group_id = ANY($1::bigint[]) ORDER BY group_id, topic
"""  # noqa: S608 - a constant


@dataclass(frozen=True)
class _Group:
    name: str
    created_at: str
    number: int
    digest: str
    joined: str = ""
    """Its topics, each followed by the character that no topic holds: many strings take more."""

    @property
    def identity(self) -> tuple[str, str]:
        return self.name, self.created_at

    def topics(self) -> frozenset[str]:
        return frozenset(self.joined.split("\0")[:-1])


class Seen:
    """What there was in some ranges of names, as of one moment."""

    def __init__(
        self, ranges: Set[Range] = frozenset(), groups: Mapping[int, _Group] | None = None
    ) -> None:
        self.ranges = frozenset(ranges)
        self._groups = groups or {}

    @property
    def memberships(self) -> int:
        return sum([group.number for group in self._groups.values()])

    def held(self, names: Container[str]) -> dict[int, tuple[str, frozenset[str]]]:
        return {
            id_: (group.name, group.topics())
            for id_, group in self._groups.items()
            if group.name in names
        }

    def see(self, connection: Connection, ranges: Set[Range]) -> tuple[Difference, Seen]:
        """Return what became of the groups, as the transaction of the connection sees them.

        What is in a range only now is taken for seen, and what is in none any more is forgotten.
        """
        found = dict(_found(connection, ranges, self._groups))
        groups = self._as_if_of(ranges, found)
        gone, come = _others(groups, found), _others(found, groups)
        same = again(gone, come)
        now_as = {id_: same.get(id_, id_) for id_ in groups}
        added, removed = _changes({now_as[id_]: group for id_, group in groups.items()}, found)
        became = deltas(
            {now_as[id_]: name for id_, (name, _) in gone.items()},
            {id_: name for id_, (name, _) in come.items()},
            added,
            removed,
            lambda id_: (found[id_].name, found[id_].topics()),
        )
        return Difference(became, same), Seen(ranges, found)

    def _as_if_of(self, ranges: Set[Range], found: Mapping[int, _Group]) -> Mapping[int, _Group]:
        """Return what would have been seen if these had been the ranges then."""
        groups = self._groups
        if self.ranges - ranges:
            groups = {id_: group for id_, group in groups.items() if _within(group.name, ranges)}
        if ranges - self.ranges:
            begun = {
                id_: group
                for id_, group in found.items()
                if id_ not in self._groups and not _within(group.name, self.ranges)
            }
            groups = {**groups, **begun}
        return groups


def _found(
    connection: Connection, ranges: Set[Range], seen: Mapping[int, _Group]
) -> Iterator[tuple[int, _Group]]:
    lowest = [bound(lowest) for lowest, _ in ranges]
    above = [_ABOVE_ALL_NAMES if above is None else bound(above) for _, above in ranges]
    changed = {}
    for id_, name, created_at, number, digest in connection.rows(_DIGESTS, lowest, above):
        group = _Group(name, created_at, number, digest)
        before = seen.get(id_)
        if before is not None and (before.number, before.digest) == (number, digest):
            yield id_, replace(group, joined=before.joined)
        else:
            changed[id_] = group
    joined = dict.fromkeys(changed, "")
    rows = connection.stream(_TOPICS, [str(id_) for id_ in changed]) if changed else iter(())
    for id_, topics in groupby(rows, itemgetter(0)):
        joined[id_] = "".join([f"{topic}\0" for _, topic in topics])
    for id_, group in changed.items():
        yield id_, replace(group, joined=joined[id_])


def _others(these: Mapping[int, _Group], those: Mapping[int, _Group]) -> dict[int, tuple[str, str]]:
    """Return the groups that are not among the others by the same id and name."""
    identities = {id_: group.identity for id_, group in those.items()}
    return {
        id_: group.identity for id_, group in these.items() if identities.get(id_) != group.identity
    }


def _changes(
    before: Mapping[int, _Group], after: Mapping[int, _Group]
) -> tuple[dict[int, frozenset[str]], dict[int, frozenset[str]]]:
    """Return the topics that were added to each group, and those that were removed."""
    added, removed = {}, {}
    for id_ in {*before, *after}:
        was, is_now = before.get(id_), after.get(id_)
        if was is None or is_now is None or was.joined != is_now.joined:
            old = was.topics() if was is not None else frozenset()
            new = is_now.topics() if is_now is not None else frozenset()
            if new - old:
                added[id_] = new - old
            if old - new:
                removed[id_] = old - new
    return added, removed


def _within(name: str, ranges: Set[Range]) -> bool:
    return any(lowest <= name and (above is None or name < above) for lowest, above in ranges)
