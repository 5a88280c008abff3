"""The search for an order in which a history is right.

It knows nothing of groups. The search is that of Wing and Gong ("Testing and Verifying Concurrent
Objects", 1993), with the memory of places it has been to that Lowe added ("Testing for
Linearizability", 2017): a place is which calls are done and what state they have left.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

S = TypeVar("S", bound=Hashable)

MOST_PLACES = 300_000
"""Places after which the search gives up; a right history needs about one for each call."""


class Call(NamedTuple):
    """Somebody called a method at one moment, and had the result at another."""

    begin: int
    end: int
    who: str
    method: str
    arguments: tuple[object, ...]
    result: object
    changes: bool
    """Whether it may have changed something; a call that reads or was refused has not."""


Step = Callable[[S, Call], tuple[object, S]]


class Undecided(Exception):  # noqa: N818
    """The search took too long."""


def is_linearizable(calls: list[Call], start: S, step: Step[S]) -> bool:
    """Tell whether the calls can be put in an order in which each result is right.

    ``step(state, call)`` gives the result that the call has in a state, and the state after it.
    """
    search = _Search(calls, step)
    place = (0, start)
    been = {place}
    path = [search.branches(*place)]
    while place[0] != search.everything:
        following = next(path[-1], None)
        if following is None:
            path.pop()
            if not path:
                return False
        elif following not in been:
            place = following
            been.add(place)
            if len(been) > MOST_PLACES:
                raise Undecided
            path.append(search.branches(*place))
    return True


class _Search(Generic[S]):
    """Where one can go from a place; the calls that are done are the bits of a number."""

    def __init__(self, calls: list[Call], step: Step[S]) -> None:
        self._calls = sorted(calls, key=lambda call: (call.begin, call.end))
        self._step = step
        self.everything = (1 << len(calls)) - 1

    def branches(self, done: int, state: S) -> Iterator[tuple[int, S]]:
        """Go to each place that a call leads to, or to one alone where that is no choice.

        A call that changes nothing, and is right now, may as well be done now: whatever order
        there is with it later, the same order with it now is right too.
        """
        found = []
        for number in self._next(done):
            call = self._calls[number]
            result, after = self._step(state, call)
            if result == call.result:
                place = (done | 1 << number, after)
                if not call.changes:
                    yield place
                    return
                found.append(place)
        yield from found

    def _next(self, done: int) -> list[int]:
        """Return the calls that can be next: each began before any that is not done had ended."""
        found: list[int] = []
        first_end = None
        number = (~done & (done + 1)).bit_length() - 1
        for call in self._calls[number:]:
            if not done >> number & 1:
                if first_end is not None and call.begin > first_end:
                    break
                first_end = call.end if first_end is None else min(first_end, call.end)
                found.append(number)
            number += 1
        return sorted(found, key=lambda number: self._calls[number].end)
