"""The cache by itself on a real file: the steps of readers and writers, in any order there is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beryl_groups.engine import MISSING
from beryl_groups.sqlite import connections
from beryl_groups.sqlite.cache import MOST_BYTES, Cache
from beryl_groups.sqlite.location import Location

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beryl_groups.sqlite.cache import Kind
    from beryl_groups.sqlite.connections import Connection

KEYS = "abc"

AT_REST, WRITTEN, ABOUT_TO_COMMIT, COMMITTED = "at rest", "written", "about to commit", "committed"


class File:
    """What gives the cache its connection, and everyone else theirs."""

    def __init__(self, folder: Path) -> None:
        path = folder / "values.db"
        path.touch()
        self.location = Location(str(path), str(path))
        self.own = self.connect()
        self.own.execute("PRAGMA journal_mode = WAL").fetchall()
        self.own.execute("CREATE TABLE changes (number)")
        self.other = self.connect()

    def connect(self) -> Connection:
        return connections.open_connection(self.location, 5.0, "off")

    def close_connection(self, connection: Connection) -> None:
        connection.close()

    def close(self) -> None:
        self.own.close()
        self.other.close()


def value_of(committed: dict[str, int], key: str) -> int:
    return committed[key]


def all_values(committed: dict[str, int]) -> tuple[str, ...]:
    return tuple(map(str, committed.values()))


ALL_READS: list[tuple[Kind, tuple[str, ...]]] = [
    (all_values, ()),
    *((value_of, (key,)) for key in KEYS),
]


@dataclass
class Read:
    """A read under way: it has asked for the version, and perhaps read the file."""

    kind: Kind
    arguments: tuple[str, ...]
    version: int | None
    answer: object = MISSING


class Race:
    """One handle's cache: what it finds is what is committed at that moment."""

    def __init__(self, file: File, choice: random.Random) -> None:
        self.file = file
        self.choice = choice
        self.cache = Cache(file, choice.choice((MOST_BYTES, 4500)))
        self.committed = dict.fromkeys(KEYS, 0)
        self.last = 0
        self.pending: dict[str, int] = {}
        self.stage = AT_REST
        self.reads: list[Read] = []
        self.steps: list[str] = []

    def run(self, steps: int) -> None:
        """Take steps at random, and after all the last look."""
        for _ in range(steps):
            step = self.choice.choice(self._possible())
            self.steps.append(step.__name__)
            step()
        self.steps.append(self.look_everywhere.__name__)
        self.look_everywhere()

    def end(self) -> None:
        self.cache.disconnect()
        if self.file.own.in_transaction:
            self.file.own.execute("ROLLBACK")

    def _possible(self) -> list[Callable[[], None]]:
        """Return what may come next, the more often the likelier."""
        of_the_stage: dict[str, list[Callable[[], None]]] = {
            AT_REST: 2 * [self.begin_to_write, self.write] + [self.reconnect_the_writer],
            WRITTEN: 8 * [self.before_commit] + [self.roll_back],
            ABOUT_TO_COMMIT: 8 * [self.commit] + [self.roll_back, self.fail_to_commit],
            COMMITTED: 2 * [self.after_commit]
            + [self.be_interrupted, self.be_interrupted_silently],
        }
        possible = [self.disconnect, *of_the_stage[self.stage]]
        possible += 2 * [self.look, self.look_everywhere]
        if self.stage in {AT_REST, COMMITTED}:
            possible += 2 * [self.another_commits]
        if any(read.answer is MISSING for read in self.reads):
            possible += 2 * [self.read]
        if any(read.answer is not MISSING for read in self.reads):
            possible += 2 * [self.keep]
        return possible

    def look(self) -> None:
        """Do what a read does until it reads the file."""
        kind, arguments = self.choice.choice(ALL_READS)
        if self._find(kind, arguments) is MISSING:
            self.reads.append(Read(kind, arguments, self.cache.version()))

    def look_everywhere(self) -> None:
        """Read everything, and keep what was not kept."""
        for kind, arguments in ALL_READS:
            if self._find(kind, arguments) is MISSING:
                answer = kind(self.committed, *arguments)
                self.cache.keep(kind, arguments, answer, self.cache.version())

    def _find(self, kind: Kind, arguments: tuple[str, ...]) -> object:
        answer = self.cache.find(kind, arguments)
        right = kind(self.committed, *arguments)
        assert answer is MISSING or answer == right, (
            f"{kind.__name__}{arguments} was {answer} and not {right} after {self.steps}"
        )
        return answer

    def read(self) -> None:
        begun = [read for read in self.reads if read.answer is MISSING]
        read = self.choice.choice(begun)
        read.answer = read.kind(self.committed, *read.arguments)

    def keep(self) -> None:
        done = [read for read in self.reads if read.answer is not MISSING]
        read = self.choice.choice(done)
        self.reads.remove(read)
        self.cache.keep(read.kind, read.arguments, read.answer, read.version)

    def begin_to_write(self) -> None:
        self.file.own.execute("BEGIN IMMEDIATE")
        keys = self.choice.sample(KEYS, self.choice.randrange(3))
        self.pending = {key: self._change(self.file.own) for key in keys}
        self.stage = WRITTEN

    def _change(self, connection: Connection) -> int:
        self.last += 1
        connection.execute("INSERT INTO changes VALUES (?)", (self.last,))
        return self.last

    def before_commit(self) -> None:
        self.cache.before_commit(self.file.own)
        self.stage = ABOUT_TO_COMMIT

    def commit(self) -> None:
        self.file.own.execute("COMMIT")
        self.committed |= self.pending
        self.stage = COMMITTED

    def after_commit(self) -> None:
        touched = [(value_of, (key,)) for key in self.pending]
        self.cache.after_commit(self.file.own, [*touched, (all_values, None)])
        self.stage = AT_REST

    def write(self) -> None:
        """Write without anything in between."""
        for step in (self.begin_to_write, self.before_commit, self.commit, self.after_commit):
            step()

    def roll_back(self) -> None:
        """End without a commit, and without a word to the cache, as Ctrl-C may do."""
        self.file.own.execute("ROLLBACK")
        self.stage = AT_REST

    def fail_to_commit(self) -> None:
        self.roll_back()
        self.cache.after_rollback()

    def be_interrupted(self) -> None:
        """End after the commit, and leave the cache to find out."""
        self.cache.after_rollback()
        self.stage = AT_REST

    def be_interrupted_silently(self) -> None:
        """Do so without a word to it."""
        self.stage = AT_REST

    def another_commits(self) -> None:
        self.committed[self.choice.choice(KEYS)] = self._change(self.file.other)

    def disconnect(self) -> None:
        self.cache.disconnect()

    def reconnect_the_writer(self) -> None:
        self.file.own.close()
        self.file.own = self.file.connect()


def explore(folder: Path, seed: int, races: int, most_steps: int = 30) -> None:
    """Run races, and raise ``AssertionError`` with the steps of the first that is lost."""
    file = File(folder)
    try:
        for number in range(races):
            choice = random.Random(f"{seed}, race {number}")
            race = Race(file, choice)
            try:
                race.run(choice.randrange(5, most_steps))
            finally:
                race.end()
    finally:
        file.close()
