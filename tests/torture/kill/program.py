"""What a thread does: calls at random, the same for whoever knows the seed and its name."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.contract.test_durability import imagine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.test_durability import Call, Model

SHARED = "shared"
"""A group of all threads, in which the topics of each bear its name."""

_SIZES = (1, 2, 5, 150, 1500)
_LONG = "x" * 900  # so that the last is more than SQLite keeps in memory before the commit


class Program:
    """The endless sequence of a thread's calls, and what it has in the file after those so far."""

    def __init__(self, seed: str, name: str, copies: Path, *, shared: bool) -> None:
        self.name = name
        self.model: Model = {SHARED: set()} if shared else {}
        self._copies = copies
        self._random = random.Random(f"{seed}, {name}")
        self._last = 0

    def next_call(self) -> Call:
        """Return the next call, and take it for done."""
        (kind,) = self._random.choices(("small", "backup", "transaction"), (12, 1, 7))
        if kind == "backup":
            return kind, (self._copies / f"{self._new()}.db",)
        if kind == "transaction":
            return kind, tuple(self._small() for _ in range(self._random.randrange(2, 6)))
        return self._small()

    def _small(self) -> Call:
        call = self._choose()
        imagine(self.model, call)
        return call

    def _choose(self) -> Call:
        own = sorted(self.model.keys() - {SHARED})
        if not own or (len(own) < 4 and self._random.random() < 0.2):
            return "create", (self._new(),)
        methods = ("add", "remove", "set_topics", "rename", "delete")
        (method,) = self._random.choices(methods, (6, 2, 2, 1, 1))
        name = self._random.choice(own)
        if method == "rename":
            return method, (name, self._new())
        if method == "delete":
            return method, (name,)
        if SHARED in self.model and method != "set_topics" and self._random.random() < 0.4:
            name = SHARED
        if method == "remove":
            present = sorted(self.model[name])
            return method, (name, *self._random.sample(present, len(present) // 2))
        size = self._size()
        topics = [self._new(_LONG if size == _SIZES[-1] else "") for _ in range(size)]
        return (method, (name, *topics)) if method == "add" else (method, (name, topics))

    def _size(self) -> int:
        (size,) = self._random.choices(_SIZES, (16, 16, 16, 8, 1))
        return size

    def _new(self, tail: str = "") -> str:
        self._last += 1
        return f"{self.name}:{self._last}{tail}"


def kind_of(call: Call) -> str:
    """Return what a kill in the midst of it is counted as."""
    method, arguments = call
    return "bulk add" if method == "add" and len(arguments) > 100 else method
