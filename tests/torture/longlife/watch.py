"""What the processes and the WAL take over time, and whether that grows."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

import beryl_groups
from tests import processes
from tests.torture.longlife import workers
from tests.torture.longlife.workers import KINDS, Plan, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

_MIB = 2**20
_MOST_BYTES_MORE = 24 * _MIB
_MOST_DESCRIPTORS_MORE = 24


@dataclass
class Figures:
    """What there was in all."""

    samples: dict[str, list[Sample]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    wal: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def growth(self, kind: str) -> tuple[int, int]:
        """Return how much more a process takes in the last third of its life than in the second."""
        samples = self.samples[kind]
        third = len(samples) // 3
        before, after = samples[third : 2 * third], samples[2 * third :]
        if not before or not after:
            return 0, 0
        memory = [statistics.median(each.bytes for each in part) for part in (before, after)]
        descriptors = [max(each.descriptors for each in part) for part in (before, after)]
        return round(memory[1] - memory[0]), descriptors[1] - descriptors[0]

    def growth_of_wal(self) -> int:
        """Return how much larger the largest WAL was in the last third than in the second."""
        third = len(self.wal) // 3
        return max(self.wal[2 * third :]) - max(self.wal[third : 2 * third] or [0])

    def grown(self) -> Iterator[str]:
        """Say which process takes too much more in the end."""
        for kind in KINDS:
            memory, descriptors = self.growth(kind)
            if memory > _MOST_BYTES_MORE:
                yield f"{kind} takes {memory / _MIB:.1f} MiB more in the end"
            if descriptors > _MOST_DESCRIPTORS_MORE:
                yield f"{kind} has {descriptors} descriptors more in the end"

    def __str__(self) -> str:
        growth = [self.growth(kind) for kind in KINDS]
        calls = sum(samples[-1].calls for samples in self.samples.values() if samples)
        return (
            f"{calls:,} calls, {max(memory for memory, _ in growth) / _MIB:+.1f} MiB of memory, "
            f"{max(descriptors for _, descriptors in growth):+d} descriptors, a WAL of at most "
            f"{max(self.wal) / _MIB:.1f} MiB ({self.growth_of_wal() / _MIB:+.1f} in the last third)"
            f", {len(self.faults):,} faults"
        )


def run(plan: Plan) -> Figures:
    """Have all processes work for the time of the plan, and watch them."""
    figures = Figures()
    workers.fill(plan)
    over = processes.context.Event()
    running, pipes = [], {}
    for kind in KINDS:
        here, there = processes.context.Pipe(duplex=False)
        running.append(processes.start(workers.work, kind, plan, over, there))
        there.close()
        pipes[here] = kind
    end = time.monotonic() + plan.seconds
    while pipes:
        if time.monotonic() >= end:
            over.set()
        for pipe in wait(list(pipes), timeout=0.02):
            _receive(figures, pipes, pipe)  # type: ignore[arg-type]
        figures.wal.append(workers.size_of_wal(plan))
        if figures.faults or (plan.broken and any(figures.grown())):
            over.set()
    for process in running:
        processes.finish(process)
    with beryl_groups.start(plan.path) as groups:
        figures.faults += groups.check()
    figures.faults += figures.grown()
    return figures


def _receive(figures: Figures, pipes: dict[Connection, str], pipe: Connection) -> None:
    try:
        received = pipe.recv()
    except EOFError:
        received = f"{pipes[pipe]} has ended without a word"
    if isinstance(received, Sample):
        figures.samples[pipes[pipe]].append(received)
        return
    if received is not None:
        figures.faults.append(received)
    pipe.close()
    del pipes[pipe]
