"""Those who write and read at random, and take note of when and what."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beryl_groups import AlreadyExists, NotFound
from tests.coherence.history import Read, State, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.context import ForkServerContext

    from beryl_groups import Groups, Transaction

now = time.monotonic_ns  # where the tests run, one clock for all processes

GROUPS = ("g1", "g2", "g3", "g4", "g5", "g6")
EVERY = "every"
"""The topic of all groups that have topics; each other topic is a number that comes only once."""


class Board:
    """What the writers of all processes share: whose turn it is, and what the groups hold."""

    def __init__(self, context: ForkServerContext) -> None:
        self._turns = {group: context.Lock() for group in GROUPS}
        self._last = context.Value("q", 0)
        # Of each group whether it is there, and two numbers of which 0 is none.
        self._states = context.RawArray("q", 3 * len(GROUPS))

    @contextmanager
    def turn(self, groups: Sequence[str]) -> Iterator[None]:
        """Let nobody else write these groups."""
        with ExitStack() as stack:
            for group in sorted(groups):
                stack.enter_context(self._turns[group])
            yield

    def new_number(self) -> int:
        with self._last:
            self._last.value += 1
            return int(self._last.value)

    def numbers(self, group: str) -> tuple[int, int] | None:
        at = 3 * GROUPS.index(group)
        there, one, other = self._states[at : at + 3]
        return (one, other) if there else None

    def put(self, group: str, numbers: tuple[int, int] | None) -> None:
        at = 3 * GROUPS.index(group)
        self._states[at : at + 3] = [0, 0, 0] if numbers is None else [1, *numbers]


def state_with(numbers: tuple[int, int] | None) -> State:
    """Return the state of a group that holds these numbers."""
    if numbers is None:
        return None
    topics = [str(number) for number in numbers if number]
    return frozenset([EVERY, *topics] if topics else ())


@dataclass
class Log:
    """What was done."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    undone: set[str] = field(default_factory=set)

    def add(self, other: Log) -> None:
        self.writes += other.writes
        self.reads += other.reads
        self.undone |= other.undone


class Changes:
    """The changes of one call, made of groups whose turn it is."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.made: dict[str, tuple[int, int] | None] = {}
        self.numbers: list[int] = []

    def numbers_of(self, group: str) -> tuple[int, int] | None:
        return self.made[group] if group in self.made else self._board.numbers(group)

    def new_number(self) -> int:
        self.numbers.append(self._board.new_number())
        return self.numbers[-1]

    def land(self, log: Log, begin: int, how: str) -> None:
        """Take note that they have been committed, since `begin` and by now."""
        end = now()
        call = self._board.new_number()
        for group, numbers in self.made.items():
            self._board.put(group, numbers)
            log.writes.append(Write(group, begin, end, state_with(numbers), call, how))

    def fall(self, log: Log) -> None:
        """Take note that they were rolled back."""
        log.undone.update(map(str, self.numbers))


class OnPurpose(Exception):  # noqa: N818
    """Rolls a transaction back."""


class Actor:
    """One thread that uses one handle."""

    def __init__(self, handle: Groups, board: Board, name: str, seed: str) -> None:
        self.handle = handle
        self.board = board
        self.name = name
        self.random = random.Random(seed)
        self.log = Log()

    def run(self, until: int) -> None:
        """Write and read until then, now in a rush and now at leisure."""
        while now() < until:
            eagerness = self.random.random() ** 8
            for _ in range(self.random.randrange(1, 200)):
                if now() >= until:
                    break
                if self.random.random() < eagerness:
                    self.write()
                else:
                    self.read()
            time.sleep(self.random.random() ** 2 / 200)

    def read(self) -> None:
        methods = (self._topics, self._broadcast, self._contains, self._groups_of, self._page)
        (method,) = self.random.choices(methods, (10, 4, 3, 4, 3))
        method()

    def _note(self, method: str, arguments: tuple[object, ...], call: Callable[[], object]) -> None:
        begin = now()
        answer = call()
        self.log.reads.append(Read(begin, now(), method, arguments, answer, self.name))

    def _topics(self) -> None:
        group = self.random.choice(GROUPS)

        def topics() -> State:
            with suppress(NotFound):
                return self.handle.topics(group)
            return None

        self._note("topics", (group,), topics)

    def _broadcast(self) -> None:
        groups = self.random.sample(GROUPS, self.random.choice((1, 1, 2, 3)))
        reached: list[str] = []

        def broadcast() -> list[str]:
            self.handle.broadcast(
                lambda topic, event, payload: reached.append(topic),
                groups if len(groups) > 1 else groups[0],
                "event",
                None,
            )
            return reached

        self._note("broadcast", tuple(groups), broadcast)

    def _contains(self) -> None:
        if self.random.random() < 0.3:
            self._note("count", (), self.handle.__len__)
        else:
            group = self.random.choice(GROUPS)
            self._note("contains", (group,), lambda: group in self.handle)

    def _groups_of(self) -> None:
        number = max(self.board.numbers(self.random.choice(GROUPS)) or (0,))
        topic = str(number) if number and self.random.random() < 0.7 else EVERY
        self._note("groups_of", (topic,), lambda: self.handle.groups_of(topic))

    def _page(self) -> None:
        after, limit = self.random.choice(("a", *GROUPS[:3])), self.random.choice((2, 9))
        self._note(
            "list_groups",
            (after, limit),
            lambda: self.handle.list_groups("g", after=after, limit=limit),
        )

    def write(self) -> None:
        if self.random.random() < 0.7:
            group = self.random.choice(GROUPS)
            with self.board.turn([group]):
                changes = Changes(self.board)
                begin = now()
                how = self._change(self.handle, changes, group)
                changes.land(self.log, begin, f"{self.name}, {how}")
        else:
            self._transact()

    def _transact(self) -> None:
        groups = self.random.sample(GROUPS, self.random.randrange(1, 4))
        with self.board.turn(groups):
            changes = Changes(self.board)
            try:
                with self.handle.transaction() as transaction:
                    for group in groups:
                        self._change(transaction, changes, group)
                    if len(groups) > 1:
                        self._rename(transaction, changes, groups)
                    if self.random.random() < 0.3:
                        self._read_inside(transaction, changes, groups[0])
                        self.read()
                    if self.random.random() < 0.4:
                        raise OnPurpose
                    begin = now()
            except OnPurpose:
                changes.fall(self.log)
            else:
                changes.land(self.log, begin, f"{self.name}, a transaction")

    def _read_inside(self, transaction: Transaction, changes: Changes, group: str) -> None:
        """Have the transaction read its own writes."""
        state: State = None
        with suppress(NotFound):
            state = transaction.topics(group)
        assert state == state_with(changes.numbers_of(group)), f"{group} in a transaction: {state}"

    def _change(self, groups: Groups | Transaction, changes: Changes, group: str) -> str:
        """Make a change of a group by a method that fits its state, and return its name."""
        numbers = changes.numbers_of(group)
        if numbers is None:
            groups.create(group)
            changes.made[group] = (0, 0)
            return "create"
        one, other = numbers
        chance = self.random.random()
        if chance < 0.15:
            groups.delete(group)
            changes.made[group] = None
            return "delete"
        if chance < 0.3 and other:
            groups.remove(group, str(one))
            changes.made[group] = (other, 0)
            return "remove"
        if chance < 0.35:
            with suppress(AlreadyExists):
                groups.create(group)
            return "a refusal"
        number = changes.new_number()
        if chance < 0.7 and not other:
            groups.add(group, EVERY, str(number))
            changes.made[group] = (one, number) if one else (number, 0)
            return "add"
        groups.set_topics(group, [EVERY, str(number)])
        changes.made[group] = (number, 0)
        return "set_topics"

    def _rename(self, transaction: Transaction, changes: Changes, groups: list[str]) -> None:
        """Rename a group to another, where the one is there and the other is not."""
        old, new = groups[:2]
        numbers = changes.numbers_of(old)
        if numbers is not None and changes.numbers_of(new) is None:
            transaction.rename(old, new)
            changes.made[old], changes.made[new] = None, numbers
