"""The difference between two looks, as steps."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from beryl_groups.changes import Delta, Difference, came, difference, in_order, merge, went
from beryl_groups.feed import Scope
from tests.contract.watching import apply, known_of

if TYPE_CHECKING:
    from collections.abc import Hashable

State = dict[int, tuple[str, frozenset[str]]]

NAMES = ["a", "aa", "ab", "b", "ba"]
STATES: st.SearchStrategy[State] = st.dictionaries(
    st.integers(1, 6),
    st.tuples(st.sampled_from(NAMES), st.frozensets(st.sampled_from("xyz"))),
    max_size=5,
).filter(lambda state: len({name for name, _ in state.values()}) == len(state))
SCOPES = st.sampled_from([Scope(None), Scope(None, "a"), Scope(frozenset({"a", "b"}))])


def between(old: State, new: State) -> Difference:
    """Return what an engine tells of two moments; a group that comes by its name is the same."""
    names = {name: group for group, (name, _) in new.items() if group not in old}
    renumbered = {
        group: names[name] for group, (name, _) in old.items() if group not in new and name in names
    }
    old = {renumbered.get(group, group): state for group, state in old.items()}
    deltas = {}
    for group in old.keys() | new.keys():
        if group not in old:
            deltas[group] = came(*new[group])
        elif group not in new:
            deltas[group] = went(*old[group])
        else:
            (before, was), (after, now) = old[group], new[group]
            held = now if before != after else None
            deltas[group] = Delta(before, after, now - was, was - now, held)
    return Difference(deltas, renumbered)


def seen(state: State, scope: Scope) -> dict[str, frozenset[str]]:
    return {name: topics for name, topics in state.values() if name in scope}


@given(states=st.lists(STATES, min_size=1, max_size=6), scope=SCOPES, taken=st.integers(0, 6))
def test_steps_lead_to_what_was_found_whatever_was_merged(
    states: list[State], scope: Scope, taken: int
) -> None:
    """However many looks a watch was late for, its steps are possible and lead to the last look."""
    known = seen(states[0], scope)
    pending: dict[Hashable, Delta] = {}
    for number, (old, new) in enumerate(itertools.pairwise(states)):
        merge(pending, between(old, new), scope)
        if number % (taken + 1) == taken or number == len(states) - 2:
            for change in in_order(pending.values()):
                apply(known, change)
            pending.clear()
            assert known == seen(new, scope)


@given(
    known=st.dictionaries(st.sampled_from(NAMES), st.frozensets(st.sampled_from("xyz"))),
    states=st.lists(STATES, min_size=1, max_size=3),
)
def test_steps_lead_on_from_what_was_known(
    known: dict[str, frozenset[str]], states: list[State]
) -> None:
    """What an application knew, and what comes after the first look, are told as one."""
    state = known_of(known)
    pending = difference(known, states[0])
    for old, new in itertools.pairwise(states):
        merge(pending, between(old, new), Scope(None))
    for change in in_order(pending.values()):
        apply(state, change)
    assert state == seen(states[-1], Scope(None))


def test_a_long_chain_of_renames_is_told_from_its_end() -> None:
    """A group whose new name was another's is told after that one has given it up."""
    old = {n: (f"{n:05}", frozenset({"x"})) for n in range(10_000)}
    new = {n: (f"{n + 1:05}", frozenset({"x"})) for n in range(10_000)}
    known = seen(old, Scope(None))

    for change in in_order(between(old, new).deltas.values()):
        assert change.kind == "renamed"
        apply(known, change)

    assert known == seen(new, Scope(None))
