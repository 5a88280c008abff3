"""A round: processes that use one file for a while, and the judgement of what they read."""

from __future__ import annotations

import pickle
import random
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups.sqlite.cache import MOST_BYTES
from tests import processes
from tests.coherence.actors import EVERY, GROUPS, Actor, Board, Changes, Log, now
from tests.coherence.history import History
from tests.coherence.variants import VARIANTS
from tests.sqlite.store import store

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from beryl_groups import Groups

_FEW_BYTES = 5000  # room for two answers, so that nearly every read evicts another
_SHOWN_VIOLATIONS = 3
_PATIENCE = 60.0


@dataclass(frozen=True)
class Plan:
    """Who takes part in a round: processes with handles, of which each has a cache and threads."""

    seed: str
    seconds: float
    variants: tuple[str, ...] = ()
    caches: tuple[tuple[int, ...], ...] = ((MOST_BYTES, _FEW_BYTES), (MOST_BYTES,))
    threads: int = 2


def random_plan(seed: str, seconds: float, variants: tuple[str, ...] = ()) -> Plan:
    """Return a plan that depends on the seed alone."""
    choice = random.Random(seed)
    caches = tuple(
        tuple(choice.choice((MOST_BYTES, MOST_BYTES, _FEW_BYTES)) for _ in range(handles))
        for handles in choice.choices((1, 2), k=choice.choice((2, 3)))
    )
    return Plan(seed, seconds, variants, caches, threads=choice.choice((1, 2, 3)))


@dataclass
class Figures:
    """What came of it."""

    reads: int = 0
    writes: int = 0
    undone: int = 0
    edits: int = 0
    violations: int = 0
    explanations: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.reads += other.reads
        self.writes += other.writes
        self.undone += other.undone
        self.edits += other.edits
        self.violations += other.violations
        self.explanations += other.explanations

    def __str__(self) -> str:
        return (
            f"{self.reads:,} reads judged, {self.writes:,} writes, {self.undone:,} writes rolled "
            f"back, {self.edits:,} shell edits, {self.violations:,} violations"
        )


def run(plan: Plan) -> Figures:
    """Have the processes write and read, and judge what they read."""
    board = Board(processes.context)
    start = processes.context.Barrier(len(plan.caches) + 1)
    log = Log()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "groups.db"
        beryl_groups.start(path).close()
        workers = [
            processes.start(work, plan, index, path, board, start)
            for index in range(len(plan.caches))
        ]
        start.wait(_PATIENCE)
        edits = _edit_with_the_shell(plan, path, board, log)
        for worker in workers:
            processes.finish(worker, _PATIENCE)
        for index in range(len(plan.caches)):
            log.add(pickle.loads(_log_of(path, index).read_bytes()))
    return _judge(log, edits)


def work(plan: Plan, index: int, path: Path, board: Board, start: Barrier) -> None:
    """Be one of the processes."""
    choice = random.Random(f"{plan.seed}, process {index}")
    sys.setswitchinterval(choice.choice((1e-5, 1e-4, 5e-3)))
    for variant in plan.variants:
        VARIANTS[variant]()
    log = Log()
    with ExitStack() as stack:
        actors = []
        for number, most_bytes in enumerate(plan.caches[index]):
            handle = stack.enter_context(
                beryl_groups.start(path, busy_timeout=_PATIENCE, synchronous="normal")
            )
            store(handle).cache._most_bytes_of_a_generation = most_bytes // 2
            for thread in range(plan.threads):
                name = f"process {index}, handle {number}, thread {thread}"
                actors.append(Actor(handle, board, name, f"{plan.seed}, {name}"))
        start.wait(_PATIENCE)
        until = now() + int(plan.seconds * 1e9)
        with ThreadPoolExecutor(len(actors) + 1) as threads:
            doings = [threads.submit(actor.run, until) for actor in actors]
            doings.append(threads.submit(_reconnect, actors[0].handle, choice, until))
            for done in doings:
                done.result()
        for actor in actors:
            log.add(actor.log)
    _log_of(path, index).write_bytes(pickle.dumps(log))


def _log_of(path: Path, index: int) -> Path:
    return path.with_name(f"log-{index}")


def _reconnect(handle: Groups, choice: random.Random, until: int) -> None:
    """Close all connections of a handle now and then, and again, as forks do."""
    pause = threading.Event()
    while now() < until:
        for _ in range(choice.choice((1, 1, 5))):
            with store(handle).paused():
                pass
            pause.wait(choice.random() / 500)
        pause.wait(choice.random() / 4)


def _edit_with_the_shell(plan: Plan, path: Path, board: Board, log: Log) -> int:
    """Edit the groups a few times per second with the sqlite3 program; return how often."""
    choice = random.Random(f"{plan.seed}, shell")
    until = now() + int(plan.seconds * 1e9)
    pause = threading.Event()
    edits = 0
    while now() < until:
        edits += 1
        groups = choice.sample(GROUPS, choice.choice((1, 2)))
        with board.turn(groups):
            changes = Changes(board)
            lines = [_sql(group, changes, choice) for group in groups]
            falls = choice.random() < 0.25
            begin = now()
            processes.shell(
                path,
                "PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE; "
                + " ".join(lines)
                + ("ROLLBACK;" if falls else "COMMIT;"),
            )
            if falls:
                changes.fall(log)
            else:
                changes.land(log, begin, "the shell")
        pause.wait(choice.random() / 4)
    return edits


def _sql(group: str, changes: Changes, choice: random.Random) -> str:
    """Return statements that delete a group, or have it hold a number of its own."""
    the_id = f"(SELECT id FROM groups WHERE name = '{group}')"
    there = changes.numbers_of(group) is not None
    if there and choice.random() < 0.3:
        # Foreign keys are off in the shell: the topics stay and belong to nobody.
        changes.made[group] = None
        return f"DELETE FROM groups WHERE name = '{group}';"
    number = changes.new_number()
    changes.made[group] = (number, 0)
    return (
        f"INSERT OR IGNORE INTO groups (name) VALUES ('{group}'); "
        f"DELETE FROM group_topics WHERE group_id = {the_id}; "
        f"INSERT INTO group_topics VALUES ({the_id}, '{EVERY}'), ({the_id}, '{number}'); "
    )


def _judge(log: Log, edits: int) -> Figures:
    history = History(GROUPS, log.writes)
    wrong = [read for read in log.reads if not history.explains(read)]
    wrong.sort(key=lambda read: read.begin)
    return Figures(
        reads=len(log.reads),
        writes=len(log.writes),
        undone=len(log.undone),
        edits=edits,
        violations=len(wrong),
        explanations=[
            history.explain(read, frozenset(log.undone)) for read in wrong[:_SHOWN_VIOLATIONS]
        ],
    )
