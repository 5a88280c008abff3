"""What was written when, and the judgement of a read."""

from __future__ import annotations

from bisect import bisect_right
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

State = frozenset[str] | None
"""The topics of a group; None where there is no group."""


class Write(NamedTuple):
    """A group was brought to a state, by a call that may have written other groups as well."""

    group: str
    begin: int
    end: int
    state: State
    call: int
    how: str


class Read(NamedTuple):
    """A method was called, and gave this answer."""

    begin: int
    end: int
    method: str
    arguments: tuple[object, ...]
    answer: object
    reader: str


class Option(NamedTuple):
    """A state that may be current at a moment: by the call under way, or before it, or for sure."""

    state: State
    call: int = 0
    done: bool = True


def answer(method: str, arguments: tuple[object, ...], states: Mapping[str, State]) -> object:
    """Return what a method has to answer where the groups are in these states."""
    first = arguments[0] if arguments else None
    there = sorted(group for group, state in states.items() if state is not None)
    if method == "topics":
        return states[str(first)]
    if method == "broadcast":
        return sorted({topic for group in arguments for topic in states[str(group)] or ()})
    if method == "contains":
        return first in there
    if method == "count":
        return len(there)
    if method == "groups_of":
        return [group for group in there if first in (states[group] or ())]
    assert method == "list_groups"
    after, limit = arguments
    return [group for group in there if group > str(after)][: int(str(limit))]


class History:
    """All that was committed, group by group."""

    def __init__(self, groups: Iterable[str], writes: Iterable[Write]) -> None:
        self.groups = tuple(groups)
        self.writes: dict[str, list[Write]] = {
            group: [Write(group, 0, 0, None, 0, "nothing yet")] for group in self.groups
        }
        for write in sorted(writes, key=lambda write: write.begin):
            before = self.writes[write.group][-1]
            assert before.end <= write.begin, f"not one after the other: {before}, {write}"
            self.writes[write.group].append(write)
        self._begins = {
            group: [write.begin for write in writes] for group, writes in self.writes.items()
        }

    def explains(self, read: Read) -> bool:
        """Tell whether there is a moment of the read at which its answer was right."""
        return any(
            read.answer == answer(read.method, read.arguments, states)
            for moment in self._moments(read)
            for states in self._states_at(moment, self._groups_of(read))
        )

    def _groups_of(self, read: Read) -> tuple[str, ...]:
        """Return the groups on which the answer depends."""
        if read.method in {"topics", "broadcast", "contains"}:
            return tuple(map(str, read.arguments))
        return self.groups

    def _moments(self, read: Read) -> list[int]:
        """Return moments of which one will do if any does: those at which a state may begin."""
        moments = [read.begin]
        for group in self._groups_of(read):
            begins = self._begins[group]
            moments += begins[bisect_right(begins, read.begin) : bisect_right(begins, read.end)]
        return moments

    def _options(self, group: str, moment: int) -> list[Option]:
        """Return the states that may be current at a moment."""
        index = bisect_right(self._begins[group], moment) - 1
        last = self.writes[group][index]
        if last.end < moment:
            return [Option(last.state)]
        before = self.writes[group][max(index - 1, 0)]
        return [Option(last.state, last.call, True), Option(before.state, last.call, False)]

    def _states_at(self, moment: int, groups: tuple[str, ...]) -> Iterator[dict[str, State]]:
        """Yield all that may be current at a moment: a call is done in all its groups or none."""
        for options in product(*(self._options(group, moment) for group in groups)):
            done = {option.call: option.done for option in options if option.call}
            if all(done[option.call] is option.done for option in options if option.call):
                yield {group: option.state for group, option in zip(groups, options, strict=True)}

    def explain(self, read: Read, undone: frozenset[str]) -> str:
        """Say what is known about a read that nothing explains."""
        shown = ", ".join(map(repr, read.arguments))
        took = (read.end - read.begin) / 1000
        got = sorted(read.answer) if isinstance(read.answer, frozenset) else read.answer
        lines = [f"{read.reader}: {read.method}({shown}) gave {got} within {took:.0f} us"]
        if isinstance(got, list) and not undone.isdisjoint(got):
            lines.append("  of which something was never committed, but rolled back")
        for group in self._groups_of(read):
            until = bisect_right(self._begins[group], read.end) + 2
            lines += [
                f"  {group}: {sorted(write.state) if write.state is not None else 'gone'}, "
                f"{(write.begin - read.begin) / 1000:+.0f} to "
                f"{(write.end - read.begin) / 1000:+.0f} us, by {write.how}"
                for write in self.writes[group][max(until - 6, 1) : until]
            ]
        return "\n".join(lines)
