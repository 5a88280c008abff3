"""What each method does, one call after the other: the rules that the library is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from tests.torture.linearizability.checker import Call

NAMES = ("a", "b", "c", "d")
TOPICS = ("1", "2", "3")

State = tuple[frozenset[str] | None, ...]
"""The topics of each name, None where there is no group."""

Groups = dict[str, frozenset[str]]

Request = tuple[str, tuple[object, ...]]
"""A method and its arguments; those of a transaction are the requests that it makes."""


class Refused(NamedTuple):
    """A call raised an error that speaks of a group."""

    kind: str
    name: object


READING = frozenset(
    {
        "topics",
        "contains",
        "count",
        "iterate",
        "groups_of",
        "list_groups",
        "broadcast",
        "everything",
    }
)


def changes(method: str, result: object) -> bool:
    """Tell whether a call with this result may have changed anything."""
    return not (method in READING or method == "undone" or isinstance(result, Refused))


def step(state: State, call: Call) -> tuple[object, State]:
    """Return the result that a call has in a state, and the state that it leaves."""
    groups = {name: topics for name, topics in zip(NAMES, state, strict=True) if topics is not None}
    result = _do(groups, call.method, call.arguments)
    if not call.changes:
        return result, state
    return result, tuple(map(groups.get, NAMES))


def _do(groups: Groups, method: str, arguments: tuple[object, ...]) -> object:
    if method == "undone":
        return _do_all(dict(groups), cast("tuple[Request, ...]", arguments), delivers=False)
    if method == "transaction":
        return _do_all(groups, cast("tuple[Request, ...]", arguments), delivers=True)
    if method in READING:
        return _read(groups, method, arguments)
    return _write(groups, method, arguments)


def _do_all(groups: Groups, requests: tuple[Request, ...], *, delivers: bool) -> object:
    results = []
    for method, arguments in requests:
        result = _do(groups, method, arguments)
        results.append(() if method == "broadcast" and not delivers else result)
    return tuple(results)


def _write(groups: Groups, method: str, arguments: tuple[object, ...]) -> object:
    name, *rest = map(str, arguments)
    if method == "create":
        if name in groups:
            return Refused("AlreadyExists", name)
        groups[name] = frozenset()
        return None
    if name not in groups:
        # Who edits with the shell is not told that there is no such group.
        return None if method.startswith("edit") else Refused("NotFound", name)
    if method in {"delete", "edit_delete"}:
        del groups[name]
    elif method == "rename":
        (new_name,) = rest
        if new_name in groups:
            return Refused("AlreadyExists", new_name)
        groups[new_name] = groups.pop(name)
    elif method in {"add", "edit_add"}:
        groups[name] = groups[name].union(rest)
    elif method == "remove":
        groups[name] = groups[name].difference(rest)
    else:
        assert method == "set_topics", method
        groups[name] = frozenset(rest)
    return None


def _read(groups: Groups, method: str, arguments: tuple[object, ...]) -> object:
    if method == "everything":
        return tuple(map(groups.get, NAMES))
    if method == "count":
        return len(groups)
    if method == "iterate":
        return tuple(sorted(groups))
    if method == "list_groups":
        after, limit = arguments
        return tuple(name for name in sorted(groups) if name > str(after))[: int(str(limit))]
    if method == "broadcast":
        union = {topic for name in arguments for topic in groups.get(str(name), ())}
        return tuple(sorted(union))
    (only,) = map(str, arguments)
    if method == "contains":
        return only in groups
    if method == "groups_of":
        return tuple(name for name in sorted(groups) if only in groups[name])
    assert method == "topics", method
    return groups.get(only, Refused("NotFound", only))
