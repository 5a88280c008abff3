"""What is told of groups that change: the difference between two looks, as steps in an order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """One step from what a watch has told to what the database holds.

    ``kind`` says what became of ``group``. ``topics`` are those that were added or removed, those
    that a created group holds, or those that a deleted one held as last told. ``old_name`` is what
    a renamed group was called; of any other change it is ``None``.

    >>> Change("added", "robots", frozenset({"robot:7"}))
    Change(kind='added', group='robots', topics=frozenset({'robot:7'}), old_name=None)
    """

    kind: Literal["created", "deleted", "renamed", "added", "removed"]
    group: str
    topics: frozenset[str] = _NONE
    old_name: str | None = None


class Delta:
    """What became of one group between two looks.

    A name is None where there was no group: all topics of one that came have been added, and all
    of one that went have been removed. `held` are all topics in the end, and known where the name
    is another one: to who sees one of the names alone the group has come or gone.
    """

    __slots__ = ("added", "after", "before", "held", "removed")

    def __init__(
        self,
        before: str | None,
        after: str | None,
        added: frozenset[str] = _NONE,
        removed: frozenset[str] = _NONE,
        held: frozenset[str] | None = None,
    ) -> None:
        self.before = before
        self.after = after
        self.added = added
        self.removed = removed
        self.held = held

    def __bool__(self) -> bool:
        return bool(self.before != self.after or self.added or self.removed)

    def then(self, later: Delta) -> Delta:
        """Return what became of the group by this and what came later, as one."""
        held = later.held
        if held is None and self.held is not None:
            held = self.held - later.removed | later.added
        return Delta(
            self.before,
            later.after,
            self.added - later.removed | later.added - self.removed,
            self.removed - later.added | later.removed - self.added,
            held,
        )

    def within(self, names: Container[str]) -> Delta | None:
        """Return what it is to who sees groups of these names alone, None where it is nothing."""
        was, is_now = [name is not None and name in names for name in (self.before, self.after)]
        if was and is_now:
            return self
        if was:
            return went(self.before, self.held_before())
        return came(self.after, self.held or _NONE) if is_now else None

    def held_before(self) -> frozenset[str]:
        return (self.held or _NONE) - self.added | self.removed


def came(name: str | None, topics: frozenset[str]) -> Delta:
    return Delta(None, name, added=topics, held=topics)


def went(name: str | None, topics: frozenset[str]) -> Delta:
    return Delta(name, None, removed=topics, held=_NONE)


class Difference:
    """What became of all groups between two looks, by what tells each from every other.

    What tells a group apart may be something else from then on: `renumbered` says what was and is.
    """

    def __init__(self, deltas: Mapping[int, Delta], renumbered: Mapping[int, int]) -> None:
        self.deltas = deltas
        self.renumbered = renumbered


def again(
    gone: Mapping[int, tuple[str, str]], come: Mapping[int, tuple[str, str]]
) -> dict[int, int]:
    """Return which of the groups that came are groups that went, told apart by something new.

    Each is given with its name and the moment of its creation, by which a restored one is known.
    """
    new = {group: id_ for id_, group in come.items() if id_ not in gone}
    return {id_: new[group] for id_, group in gone.items() if id_ not in come and group in new}


def deltas(
    before: Mapping[int, str],
    after: Mapping[int, str],
    added: Mapping[int, frozenset[str]],
    removed: Mapping[int, frozenset[str]],
    seen: Callable[[int], tuple[str, frozenset[str]]],
) -> dict[int, Delta]:
    """Return what became of each group, from what changed of their names and of their topics.

    `seen` gives the name and the topics that a group has now.
    """
    found = {}
    for id_ in {*before, *after, *added, *removed}:
        plus, minus = added.get(id_, _NONE), removed.get(id_, _NONE)
        if id_ not in before and id_ not in after:
            name, _ = seen(id_)
            found[id_] = Delta(name, name, plus, minus)
        elif id_ not in before:
            found[id_] = came(after[id_], plus)
        elif id_ not in after:
            found[id_] = went(before[id_], minus)
        elif before[id_] != after[id_]:
            _, held = seen(id_)
            found[id_] = Delta(before[id_], after[id_], plus, minus, held)
        elif plus or minus:
            found[id_] = Delta(before[id_], before[id_], plus, minus)
    return found


def merge(pending: dict[Hashable, Delta], later: Difference, names: Container[str]) -> None:
    """Add to what is to be told what came later, as far as it concerns groups of these names."""
    moved = {new: pending.pop(old, None) for old, new in later.renumbered.items()}
    for new, delta in moved.items():
        if new in pending:  # of a group that was deleted, and whose number was given again by hand
            pending[object()] = pending.pop(new)
        if delta is not None:
            pending[new] = delta
    for group, delta in later.deltas.items():
        seen = delta.within(names)
        if seen is not None:
            before = pending.pop(group, None)
            seen = before.then(seen) if before is not None else seen
            if seen:
                pending[group] = seen


def difference(
    known: Mapping[str, frozenset[str]], found: Mapping[int, tuple[str, frozenset[str]]]
) -> dict[Hashable, Delta]:
    """Return what leads from what is known to what was found; groups are the same by their name."""
    deltas: dict[Hashable, Delta] = {}
    left = dict(known)
    for group, (name, topics) in found.items():
        before = left.pop(name, None)
        if before is None:
            deltas[group] = came(name, topics)
        elif before != topics:
            deltas[group] = Delta(name, name, topics - before, before - topics)
    return deltas | {name: went(name, topics) for name, topics in left.items()}


def in_order(deltas: Iterable[Delta]) -> Iterator[Change]:
    """Give the steps in an order in which none meets a name that is taken."""
    ordered = sorted(deltas, key=lambda delta: (delta.before or "", delta.after or ""))
    for delta in ordered:
        if delta.after is None:
            yield Change("deleted", str(delta.before), delta.removed)
    stayed = [delta for delta in ordered if None not in (delta.before, delta.after)]
    waiting = {delta.before: delta for delta in stayed if delta.before != delta.after}
    anew: set[str | None] = set()
    for name in list(waiting):
        if name in waiting:
            yield from _renames(name, waiting, anew)
    for delta in ordered:
        if delta.before is None:
            yield Change("created", str(delta.after), delta.added)
    for delta in stayed:
        if delta.removed and delta.before not in anew:
            yield Change("removed", str(delta.after), delta.removed)
        if delta.added and delta.before not in anew:
            yield Change("added", str(delta.after), delta.added)


def _renames(
    name: str | None, waiting: dict[str | None, Delta], anew: set[str | None]
) -> Iterator[Change]:
    """Rename a group, and before it whoever has the name that it gets, and so on.

    Where that leads back to the first of them, that one is told as deleted and created anew.
    """
    chain = [waiting.pop(name)]
    while chain[-1].after in waiting:
        chain.append(waiting.pop(chain[-1].after))
    first = chain[0]
    in_a_circle = chain[-1].after == first.before
    if in_a_circle:
        anew.add(first.before)
        yield Change("deleted", str(first.before), first.held_before())
    for delta in reversed(chain[in_a_circle:]):
        yield Change("renamed", str(delta.after), old_name=delta.before)
    if in_a_circle:
        yield Change("created", str(first.after), first.held or _NONE)
