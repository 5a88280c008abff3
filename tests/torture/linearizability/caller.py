"""A thread that calls everything at random, and takes note of when and what."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from beryl_groups import AlreadyExists, NotFound
from tests.torture.linearizability.checker import Call
from tests.torture.linearizability.rules import NAMES, TOPICS, Refused, Request, changes

if TYPE_CHECKING:
    from beryl_groups import Groups, Transaction

now = time.monotonic_ns  # where the tests run, one clock for all processes

_READS = ("topics", "contains", "count", "iterate", "groups_of", "list_groups", "broadcast")
_WRITES = ("create", "delete", "rename", "add", "remove", "set_topics")
_ODDS = {
    **dict(zip(_READS, (6, 3, 2, 2, 3, 2, 4), strict=True)),
    **dict(zip(_WRITES, (5, 2, 3, 5, 3, 3), strict=True)),
}


class OnPurpose(Exception):  # noqa: N818
    """Rolls a transaction back."""


class Caller:
    """One thread that uses one handle."""

    def __init__(self, handle: Groups, name: str, seed: str) -> None:
        self._handle = handle
        self._name = name
        self._random = random.Random(f"{seed}, {name}")

    def call(self, times: int) -> list[Call]:
        """Call so often, and return what came of it."""
        return [self._call_once() for _ in range(times)]

    def _call_once(self) -> Call:
        if self._random.random() < 0.15:
            method = self._random.choice(("transaction", "transaction", "undone"))
            inner = tuple(self._request() for _ in range(self._random.randrange(2, 6)))
            begin = now()
            result = self._transact(inner, fails=method == "undone")
            return self._note(begin, method, inner, result)
        method, arguments = self._request()
        begin = now()
        return self._note(begin, method, arguments, perform(self._handle, method, arguments))

    def _note(self, begin: int, method: str, arguments: tuple[object, ...], result: object) -> Call:
        end = now()
        result = tuple(result) if isinstance(result, list) else result
        return Call(begin, end, self._name, method, arguments, result, changes(method, result))

    def _request(self) -> Request:
        choose = self._random
        (method,) = choose.choices(list(_ODDS), list(_ODDS.values()))
        if method in {"count", "iterate"}:
            return method, ()
        if method == "groups_of":
            return method, (choose.choice(TOPICS),)
        if method == "list_groups":
            return method, (choose.choice(NAMES), choose.choice((1, 2, 9)))
        names = choose.sample(NAMES, 2)
        if method == "rename":
            return method, tuple(names)
        if method == "broadcast":
            return method, tuple(names[: choose.choice((1, 2))])
        if method in {"add", "remove", "set_topics"}:
            return method, (names[0], *choose.sample(TOPICS, choose.choice((1, 1, 2))))
        return method, (names[0],)

    def _transact(self, inner: tuple[Request, ...], *, fails: bool) -> tuple[object, ...]:
        results: list[object] = []
        try:
            with self._handle.transaction() as transaction:
                for method, arguments in inner:
                    results.append(perform(transaction, method, arguments))
                if fails:
                    raise OnPurpose
        except OnPurpose:
            pass
        # The list of a broadcast has been filled since, or never will be.
        return tuple(tuple(each) if isinstance(each, list) else each for each in results)


def perform(groups: Groups | Transaction, method: str, arguments: tuple[object, ...]) -> object:
    """Do the call, and return its result as the rules have it, but lists where they have tuples."""
    first = str(arguments[0]) if arguments else ""
    try:
        if method == "contains":
            return first in groups
        if method == "count":
            return len(groups)
        if method == "iterate":
            return list(groups)
        if method == "list_groups":
            return groups.list_groups(after=first, limit=int(str(arguments[1])))
        if method == "broadcast":
            reached: list[str] = []
            names = tuple(map(str, arguments))
            groups.broadcast(
                lambda topic, event, payload: reached.append(topic),
                names if len(names) > 1 else first,
                "event",
                None,
            )
            return reached
        if method == "set_topics":
            return groups.set_topics(first, map(str, arguments[1:]))
        return getattr(groups, method)(*arguments)
    except (AlreadyExists, NotFound) as refusal:
        return Refused(type(refusal).__name__, refusal.name)
