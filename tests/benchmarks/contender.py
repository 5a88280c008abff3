"""What is measured: the library, and what a user would write or pick instead."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Protocol

import beryl_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


class Contender(Protocol):
    """Groups of topics, kept by one of those that are compared; shared by threads.

    The calls are properties, for the library gives its own methods with nothing in between.
    """

    name: ClassVar[str]

    @property
    def add(self) -> Callable[[str, str], object]: ...
    @property
    def add_many(self) -> Callable[[str, Sequence[str]], object]: ...
    @property
    def topics(self) -> Callable[[str], frozenset[str]]: ...
    @property
    def broadcast(self) -> Callable[[Callable[..., object], str, str, object], object]: ...
    @property
    def fill(self) -> Callable[[Iterable[tuple[str, list[str]]]], object]: ...
    @property
    def close(self) -> Callable[[], object]: ...


class Kind(Protocol):
    """A class of contenders."""

    @property
    def name(self) -> str: ...
    @property
    def promises(self) -> str: ...
    @property
    def several_processes(self) -> bool: ...
    @property
    def durable(self) -> bool: ...
    @property
    def first_read(self) -> str: ...
    def __call__(self, address: str) -> Contender: ...
    def missing(self) -> str | None: ...
    def served(self, folder: Path) -> AbstractContextManager[str]: ...


class Base:
    """What most contenders have in common."""

    name: ClassVar[str]
    promises: ClassVar[str]
    """A sentence on what it promises, and what it does not."""
    several_processes: ClassVar[bool] = True
    """Whether several processes may use one file at once."""
    durable: ClassVar[bool] = True
    """Whether what a call has written survives a power cut, as it is set up here."""
    first_read: ClassVar[str]
    """A program that opens ``sys.argv[1]`` and reads the topics of the group ``sys.argv[2]``."""
    needs: ClassVar[str | None] = None
    """The module without which it cannot be measured."""

    @classmethod
    def missing(cls) -> str | None:
        """Say why it cannot be measured here."""
        if cls.needs is not None and importlib.util.find_spec(cls.needs) is None:
            return f"{cls.needs} is not installed"
        return None

    @classmethod
    @contextmanager
    def served(cls, folder: Path) -> Iterator[str]:
        """Give the address to open, in a folder of its own."""
        yield str(folder / "groups.db")

    def broadcast(
        self: Contender, channels: Callable[..., object], name: str, event: str, payload: object
    ) -> None:
        for topic in sorted(self.topics(name)):
            channels(topic, event, payload)


class Ours(Base):
    name = "beryl_groups"
    promises = (
        "a call that returned survives a power cut; atomic calls and transactions; "
        "threads and processes"
    )
    first_read = (
        "import sys, beryl_groups\n"
        "with beryl_groups.start(sys.argv[1]) as groups:\n"
        "    groups.topics(sys.argv[2])\n"
    )

    def __init__(self, address: str) -> None:
        self.groups = beryl_groups.start(address, busy_timeout=60)
        self.add = self.groups.add
        self.topics = self.groups.topics
        self.close = self.groups.close
        self.broadcast = self.groups.broadcast  # type: ignore[method-assign, assignment]

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        self.groups.add(name, *topics)

    def fill(self, content: Iterable[tuple[str, list[str]]]) -> None:
        with self.groups.transaction() as transaction:
            for name, topics in content:
                transaction.create(name)
                transaction.add(name, *topics)
