"""All methods put to use, on a handle and on a dict beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from beryl_groups import AlreadyExists, GroupError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from random import Random

    Call = Callable[[Any], Any]

ABSENT = "nobody has this name"


@dataclass
class Model:
    """Groups as a dict of sets, which does what a handle does."""

    held: dict[str, set[str]] = field(default_factory=dict)

    def answer(self, call: Call) -> Any:
        """Return what a call gives, or the error that it raises."""
        try:
            return call(self)
        except GroupError as error:
            return error

    def foreseen(self, call: Call) -> tuple[Any, Model]:
        """Return what a write has to give, and what there is afterwards."""
        after = Model({name: set(topics) for name, topics in self.held.items()})
        answer = after.answer(call)
        return answer, self if isinstance(answer, GroupError) else after

    def __contains__(self, name: str) -> bool:
        return name in self.held

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.held))

    def _of(self, name: str) -> set[str]:
        if name not in self.held:
            raise NotFound(name)
        return self.held[name]

    def create(self, name: str) -> None:
        if name in self.held:
            raise AlreadyExists(name)
        self.held[name] = set()

    def delete(self, name: str) -> None:
        self._of(name)
        del self.held[name]

    def rename(self, name: str, new_name: str) -> None:
        self._of(name)
        if new_name in self.held:
            raise AlreadyExists(new_name)
        self.held[new_name] = self.held.pop(name)

    def add(self, name: str, *topics: str) -> None:
        self._of(name).update(topics)

    def remove(self, name: str, *topics: str) -> None:
        self._of(name).difference_update(topics)

    def set_topics(self, name: str, topics: Iterable[str]) -> None:
        self._of(name)
        self.held[name] = set(topics)

    def topics(self, name: str) -> frozenset[str]:
        return frozenset(self._of(name))

    def groups_of(self, topic: str) -> list[str]:
        return sorted(name for name, topics in self.held.items() if topic in topics)

    def list_groups(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        names = [name for name in self if name.startswith(prefix)]
        return [name for name in names if after is None or name > after][:limit]

    def broadcast(
        self,
        channels: Callable[[str, str, Any], object],
        group: str | list[str],
        event: str,
        payload: object,
    ) -> None:
        names = [group] if isinstance(group, str) else group
        for topic in sorted(set().union(*(self.held.get(name, ()) for name in names))):
            channels(topic, event, payload)


def calls_that_read(chance: Random, model: Model) -> list[tuple[str, Call, type]]:
    """Return calls of each method that reads, with the type of what it gives."""
    names, topics = _some(chance, model)
    calls: list[tuple[str, Call, type]] = [
        ("list", list, list),
        ("len", len, int),
        ("a prefix", lambda groups: groups.list_groups("group:"), list),
        ("a page", lambda groups: groups.list_groups(after=names[0], limit=3), list),
        ("broadcast to all", partial(_received, group=[*sorted(model.held), ABSENT]), list),
    ]
    for name in names:
        calls += [
            (f"topics({name!r})", methodcaller("topics", name), frozenset),
            (f"{name!r} in", methodcaller("__contains__", name), bool),
            (f"broadcast to {name!r}", partial(_received, group=name), list),
        ]
    for topic in topics:
        calls.append((f"groups_of({topic!r})", methodcaller("groups_of", topic), list))
    return calls


def calls_that_write(chance: Random, model: Model) -> list[tuple[str, Call]]:
    """Return calls of each method that writes, alone and in a transaction."""
    names, topics = _some(chance, model)
    one, two = names[0], names[1]
    many = [f"new:{number}" for number in range(40)]
    calls: list[tuple[str, Call]] = [
        ("create", lambda groups: groups.create("new")),
        ("create again", lambda groups: groups.create(one)),
        ("add", lambda groups: groups.add(one, *topics, "new:1", "new:2")),
        ("add many", lambda groups: groups.add("new", *many, *topics)),
        ("remove", lambda groups: groups.remove(one, *topics, "new:1", "not there")),
        ("set_topics", lambda groups: groups.set_topics(two, [*topics, "new:3"])),
        ("rename", lambda groups: groups.rename(one, "renamed")),
        ("rename to one that is there", lambda groups: groups.rename(two, "renamed")),
        ("delete", lambda groups: groups.delete(names[2])),
        ("delete none", lambda groups: groups.delete(ABSENT)),
        ("transaction", lambda groups: _transact(groups, two, topics)),
    ]
    chance.shuffle(calls)
    return calls


def _transact(groups: Any, name: str, topics: list[str]) -> None:
    if isinstance(groups, Model):
        _several(groups, name, topics)
        return
    with groups.transaction() as transaction:
        _several(transaction, name, topics)


def _several(groups: Any, name: str, topics: list[str]) -> None:
    for number in range(3):
        if f"in a transaction:{number}" not in groups:
            groups.create(f"in a transaction:{number}")
        groups.add(f"in a transaction:{number}", *topics)
    groups.set_topics("in a transaction:0", ["new:1"])
    groups.broadcast(lambda *_: None, name, "event", None)
    groups.add(name, "from the transaction")


def _received(groups: Any, group: str | list[str]) -> list[str]:
    received: list[str] = []
    groups.broadcast(lambda topic, event, payload: received.append(topic), group, "event", 1)
    return received


def _some(chance: Random, model: Model) -> tuple[list[str], list[str]]:
    names, topics = sorted(model.held), sorted(set().union(*model.held.values()))
    names = chance.sample(names, min(5, len(names)))
    topics = chance.sample(topics, min(5, len(topics)))
    return (
        [*names, "group:1", "group:20", ABSENT, "renamed"],
        [*topics, "room:1", "x" * 1024, ABSENT],
    )
