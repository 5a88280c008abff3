"""A process that writes, and knows what its groups have to hold."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

import beryl_groups
from beryl_groups import OutcomeUnknown, StorageFailed
from tests.postgresql.server import sql
from tests.torture.postgresql.variants import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from beryl_groups import Groups

    Model = dict[str, frozenset[str]]
    Call = Callable[[Any], object]

THREADS = 3

_PATIENCE = 60.0
_BULK = [f"bulk:{number}" for number in range(400)]


class Fault(Exception):  # noqa: N818
    """Something that must not be."""


def main(
    url: str,
    straight: str,
    name: str,
    models: dict[str, Model],
    seed: int,
    pipe: Connection,
    broken: str | None,
) -> None:
    """Write until the pipe says stop; ``models`` has for each thread what its groups hold.

    By the URL ``straight`` one asks the server itself, and by ``name`` it knows this process.
    """
    if broken is not None:
        BROKEN[broken]()
    lock, stop = threading.Lock(), threading.Event()

    def tell(*message: object) -> None:
        with lock:
            pipe.send(message)

    groups = _open(f"{url}?application_name={name}")

    def settled() -> None:
        settle(straight, name, groups)

    threads = [
        threading.Thread(
            target=_write,
            args=(groups, owner, model, random.Random(f"{seed}{owner}"), tell, stop, settled),
        )
        for owner, model in models.items()
    ]
    for thread in threads:
        thread.start()
    pipe.recv()
    stop.set()
    for thread in threads:
        thread.join()
    groups.close()
    tell("end", "", None)


def _open(url: str) -> Groups:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return beryl_groups.start(url, busy_timeout=2.0)
        except beryl_groups.StartFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _write(
    groups: Groups,
    owner: str,
    model: Model,
    chance: random.Random,
    tell: Callable[..., None],
    stop: threading.Event,
    settled: Callable[[], None],
) -> None:
    outcomes: Counter[str] = Counter()
    try:
        while not stop.is_set():
            call, after = _next_call(owner, model, chance)
            tell("call", owner, after)
            outcome, model = _outcome(groups, owner, call, model, after, settled)
            outcomes[outcome] += 1
            tell("done", owner, model)
            if outcomes.total() % 20 == 0 and read(groups, owner) != model:
                raise Fault(f"{owner} holds another thing than was acknowledged")
    except Exception as error:
        tell("fault", owner, f"{type(error).__name__}: {error}")
    tell("outcomes", owner, outcomes)


def _outcome(
    groups: Groups,
    owner: str,
    call: Call,
    before: Model,
    after: Model,
    settled: Callable[[], None],
) -> tuple[str, Model]:
    """Make a call, and find out what came of it."""
    try:
        call(groups)
        return "returned", after
    except OutcomeUnknown as error:
        possible, said = (before, after), error
    except StorageFailed as error:
        possible, said = (before,), error  # type: ignore[assignment]
    settled()
    found = read(groups, owner)
    if found not in possible:
        raise Fault(f"after {type(said).__name__} ({said}) {owner} holds something else")
    kind = type(said).__name__
    return (f"{kind}, and it had" if found == after != before else kind), found


def settle(straight: str, name: str, groups: Groups | None) -> None:
    """Wait until the server has noticed that each connection is gone that a process has lost.

    Until then what was sent on it may yet be carried out.
    """
    deadline = time.monotonic() + _PATIENCE
    ask = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{name}'"
    while True:
        with suppress(psycopg.OperationalError):  # the server is away
            there = {pid for (pid,) in sql(straight, ask)}
            if there <= _in_use(groups):
                return
        if time.monotonic() > deadline:
            raise Fault("the server keeps a connection that is gone")
        time.sleep(0.005)


def _in_use(groups: Groups | None) -> set[int]:
    if groups is None:
        return set()
    engine: Any = groups._engine
    return {each.pgconn.backend_pid for each in engine.pool._open.copy() if each.is_open}


def read(groups: Groups, owner: str) -> Model:
    """Return what the groups of a thread hold, however long the server stays away."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with groups.transaction() as transaction:
                return {name: transaction.topics(name) for name in transaction.list_groups(owner)}
        except StorageFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _next_call(owner: str, model: Model, chance: random.Random) -> tuple[Call, Model]:
    """Choose a call that succeeds, and say what there is after it."""
    fresh = f"{owner}{chance.randrange(10**9)}"
    topics = [f"t:{chance.randrange(50)}" for _ in range(3)]
    if len(model) < 3:
        return lambda groups: groups.create(fresh), {**model, fresh: frozenset()}
    name = chance.choice(sorted(model))
    held = model[name]
    rest = {other: each for other, each in model.items() if other != name}

    def in_one(groups: Groups) -> None:
        with groups.transaction() as transaction:
            transaction.delete(name)
            transaction.create(fresh)
            transaction.add(fresh, *topics)

    calls: list[tuple[Call, Model]] = [
        (lambda groups: groups.add(name, topics[0]), {**model, name: held | {topics[0]}}),
        (lambda groups: groups.add(name, *_BULK), {**model, name: held | set(_BULK)}),
        (lambda groups: groups.remove(name, *topics), {**model, name: held - set(topics)}),
        (lambda groups: groups.set_topics(name, topics), {**model, name: frozenset(topics)}),
        (lambda groups: groups.rename(name, fresh), {**rest, fresh: held}),
        (lambda groups: groups.delete(name), rest),
        (in_one, {**rest, fresh: frozenset(topics)}),
    ]
    return chance.choice(calls)
