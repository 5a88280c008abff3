"""A session: processes that call in rounds, and the judgement of each round.

Between two rounds all wait, and what is in the database then is read: it ends the one round and
begins the other, so that each can be judged alone.
"""

from __future__ import annotations

import random
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from threading import BrokenBarrierError
from typing import TYPE_CHECKING

import beryl_groups
from tests import processes
from tests.processes import PATIENCE
from tests.torture.linearizability.caller import Caller, now
from tests.torture.linearizability.checker import Call, Undecided, is_linearizable
from tests.torture.linearizability.rules import NAMES, TOPICS, State, step

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier

    from beryl_groups import Groups
    from tests.torture.linearizability.grounds import Ground, Run

_PROCESSES, _THREADS = 4, 4


@dataclass
class Figures:
    """What came of it."""

    calls: int = 0
    rounds: int = 0
    undecided: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        undecided = f" ({self.undecided:,} too hard to judge)" if self.undecided else ""
        return (
            f"{self.calls:,} calls judged in {self.rounds:,} rounds{undecided}, "
            f"{len(self.faults):,} faults"
        )


@dataclass(frozen=True)
class Plan:
    """What all processes of a session know."""

    seed: str
    ground: Ground
    rounds: int
    calls: int
    variants: tuple[str, ...]


def run_session(
    seed: str, figures: Figures, ground: Ground, rounds: int, variants: tuple[str, ...]
) -> None:
    """Have the processes call, and judge the rounds up to the first that is wrong."""
    calls = random.Random(seed).choice((2, 4, 8))
    plan = Plan(seed, ground, rounds, calls, variants)
    beryl_groups.start(ground.database).close()
    # All threads, and this one.
    barrier = processes.context.Barrier(_PROCESSES * _THREADS + 1)
    workers = []
    for number in range(_PROCESSES):
        reader, writer = processes.context.Pipe(duplex=False)
        workers.append((processes.start(work, plan, number, barrier, writer), reader))
        writer.close()
    moments, history = _lead(plan, barrier)
    for process, reader in workers:
        told: str | list[list[Call]] = f"{process.name} hangs, or has come to a sudden end"
        with reader, suppress(EOFError):
            if reader.poll(PATIENCE):
                told = reader.recv()
        if isinstance(told, str):
            figures.faults.append(told)
            process.kill()
        else:
            history = [before + more for before, more in zip(history, told, strict=True)]
        process.join()
    if not figures.faults:
        _judge(moments, history, figures)


def work(plan: Plan, number: int, barrier: Barrier, result: Connection) -> None:
    """Be one of the processes."""
    choice = random.Random(f"{plan.seed}, process {number}")
    sys.setswitchinterval(choice.choice((1e-5, 1e-4, 5e-3)))
    for variant in plan.variants:
        plan.ground.VARIANTS[variant]()
    try:
        with ExitStack() as stack, ThreadPoolExecutor(_THREADS) as threads:
            handles = [_open(plan, choice, stack) for _ in range(choice.choice((1, 1, 2)))]
            running = []
            for thread in range(_THREADS):
                name = f"process {number}, thread {thread}"
                caller = Caller(handles[thread % len(handles)], name, plan.seed)
                running.append(threads.submit(_take_part, plan, caller, barrier))
            failures = [error for each in running if (error := each.exception()) is not None]
            for error in sorted(failures, key=lambda error: isinstance(error, BrokenBarrierError)):
                raise error  # what broke the barrier before that it is broken
            of_threads = [each.result() for each in running]
            result.send(
                [[c for calls in of for c in calls] for of in zip(*of_threads, strict=True)]
            )
    except BaseException as error:
        barrier.abort()
        cause = error.__context__ if isinstance(error, BrokenBarrierError) else error
        result.send("".join(traceback.format_exception(cause or error)))


def _open(plan: Plan, choice: random.Random, stack: ExitStack) -> Groups:
    handle = beryl_groups.start(
        plan.ground.database, busy_timeout=PATIENCE, synchronous=choice.choice(("full", "normal"))
    )
    stack.enter_context(handle)
    plan.ground.tune(handle, choice)
    return handle


def _take_part(plan: Plan, caller: Caller, barrier: Barrier) -> list[list[Call]]:
    rounds = []
    try:
        for _ in range(plan.rounds):
            barrier.wait(PATIENCE)
            rounds.append(caller.call(plan.calls))
            barrier.wait(PATIENCE)
    except BaseException:
        barrier.abort()  # or all others would wait for this one
        raise
    return rounds


def _lead(plan: Plan, barrier: Barrier) -> tuple[list[State], list[list[Call]]]:
    """Begin and end the rounds, edit the file meanwhile, and read it in between."""
    choice = random.Random(f"{plan.seed}, edits")
    edits: list[list[Call]] = [[] for _ in range(plan.rounds)]
    ground = plan.ground
    with ground.shell() as run:
        moments = [_read(ground, run)]
        try:
            for made in edits:
                barrier.wait(PATIENCE)
                if ground.EDITS:
                    made += [_edit(ground, run, choice) for _ in range(choice.choice((0, 1, 2)))]
                barrier.wait(PATIENCE)
                moments.append(_read(ground, run))
        except BrokenBarrierError:
            pass  # one of the others says why
    return moments, edits


def _edit(ground: Ground, run: Run, choice: random.Random) -> Call:
    method, sql = choice.choice(ground.EDITS)
    arguments = (choice.choice(NAMES), choice.choice(TOPICS))[: sql.count("?")]
    begin = now()
    run(sql, arguments)
    return Call(begin, now(), "the shell", method, arguments, None, changes=True)


def _read(ground: Ground, run: Run) -> State:
    rows = run(ground.READ, ())
    there = {name for name, _ in rows}
    assert there <= set(NAMES)
    return tuple(
        frozenset(topic for of, topic in rows if of == name and topic is not None)
        if name in there
        else None
        for name in NAMES
    )


def _judge(moments: list[State], history: list[list[Call]], figures: Figures) -> None:
    for before, calls, after in zip(moments, history, moments[1:], strict=False):
        last = max(call.end for call in calls)
        seen = Call(last + 1, last + 2, "the file", "everything", (), after, changes=False)
        figures.rounds += 1
        figures.calls += len(calls)
        try:
            right = is_linearizable([*calls, seen], before, step)
        except Undecided:
            figures.undecided += 1
            continue
        if not right:
            figures.faults.append(_explain(before, [*calls, seen]))
            return


def _explain(before: State, calls: list[Call]) -> str:
    shown = ", ".join(
        f"{name} {'is no group' if topics is None else f'has {sorted(topics)}'}"
        for name, topics in zip(NAMES, before, strict=True)
    )
    first = min(call.begin for call in calls)
    lines = [f"no order explains these calls, before which {shown}:"]
    lines += [
        f"  {(call.begin - first) / 1000:9.0f} to {(call.end - first) / 1000:9.0f} us, "
        f"{call.who}: {call.method}{call.arguments} gave {call.result}"
        for call in sorted(calls, key=lambda call: call.begin)
    ]
    return "\n".join(lines)
