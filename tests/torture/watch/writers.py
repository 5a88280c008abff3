"""Who writes: processes of threads, and somebody with SQL."""

from __future__ import annotations

import random
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import beryl_groups
from beryl_groups import AlreadyExists, NotFound, sqlite
from tests.processes import PATIENCE
from tests.torture.watch.variants import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from beryl_groups import Groups
    from tests.torture.watch.session import Plan

NAMES = [f"{prefix}:{number}" for prefix in "abc" for number in range(4)]
TOPICS = [f"topic {number}" for number in range(12)]
MANY = [f"one of many {number}" for number in range(200)]
PAIR = ("pair:left", "pair:right")
"""Groups that are written together, and so hold the same after each commit."""
NEVER = "never"
"""A topic that is added in transactions that are undone."""

_THREADS = 4

_EDITS = (
    "DELETE FROM groups WHERE name = ?",  # and leaves its topics behind
    "REPLACE INTO groups (name) VALUES (?)",
    "DELETE FROM group_topics WHERE group_id = (SELECT id FROM groups WHERE name = ?)",
    "INSERT OR IGNORE INTO group_topics SELECT id, 'by hand' FROM groups WHERE name = ?",
    "UPDATE OR IGNORE groups SET name = 'c:by hand' WHERE name = ?",
)


def edit(plan: Plan, choice: random.Random, times: int) -> None:
    """Write as the sqlite3 shell does."""
    with closing(
        sqlite.driver.connect(plan.path, isolation_level=None, timeout=PATIENCE)
    ) as connection:
        for _ in range(times):
            connection.execute(choice.choice(_EDITS), (choice.choice([*NAMES, "c:by hand"]),))


def write(plan: Plan, number: int, pipe: Connection) -> None:
    """Be one of the processes: write as often as is asked for, and say when it is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    choice = random.Random(f"{plan.seed}, writer {number}")
    sys.setswitchinterval(choice.choice((1e-5, 1e-4, 5e-3)))
    for variant in plan.variants:
        BROKEN[variant]()
    with (
        beryl_groups.start(plan.path, busy_timeout=PATIENCE, synchronous="normal") as groups,
        ThreadPoolExecutor(_THREADS) as threads,
        suppress(EOFError),
    ):
        while True:
            calls = pipe.recv()
            try:
                seeds = [choice.random() for _ in range(_THREADS)]
                list(threads.map(lambda seed: _write(groups, seed, calls), seeds))  # noqa: B023
                pipe.send(None)
            except BaseException:
                pipe.send(traceback.format_exc())


def _write(groups: Groups, seed: float, calls: int) -> None:
    choice = random.Random(seed)
    for _ in range(calls):
        with suppress(NotFound, AlreadyExists, ZeroDivisionError):
            choice.choice(_CALLS)(groups, choice)


def _exchange(groups: Groups, choice: random.Random) -> None:
    first, second = choice.sample(NAMES, 2)
    with groups.transaction() as transaction:
        transaction.rename(first, "on its way")
        transaction.rename(second, first)
        transaction.rename("on its way", second)


def _write_pair(groups: Groups, choice: random.Random) -> None:
    topics = choice.sample(TOPICS, choice.randrange(6))
    with groups.transaction() as transaction:
        for name in PAIR:
            transaction.create(name, exist_ok=True)
            transaction.set_topics(name, topics)


def _write_undone(groups: Groups, choice: random.Random) -> None:
    with groups.transaction() as transaction:
        transaction.add(choice.choice(NAMES), NEVER, create=True)
        raise ZeroDivisionError


def _make_anew(groups: Groups, choice: random.Random) -> None:
    name = choice.choice(NAMES)
    with groups.transaction() as transaction:
        transaction.delete(name, missing_ok=True)
        transaction.add(name, *choice.sample(TOPICS, 3), create=True)


_CALLS: list[Callable[[Groups, random.Random], None]] = [
    lambda groups, choice: groups.add(
        choice.choice(NAMES), *choice.sample(TOPICS, choice.randrange(4)), create=True
    ),
    lambda groups, choice: groups.remove(choice.choice(NAMES), *choice.sample(TOPICS, 3)),
    lambda groups, choice: groups.set_topics(choice.choice(NAMES), choice.sample(TOPICS, 4)),
    lambda groups, choice: groups.set_topics(choice.choice(NAMES), choice.sample(MANY, 100)),
    lambda groups, choice: groups.rename(*choice.sample(NAMES, 2)),
    lambda groups, choice: groups.delete(choice.choice(NAMES)),
    _exchange,
    _make_anew,
    _write_pair,
    _write_pair,
    _write_undone,
]
