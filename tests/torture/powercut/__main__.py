"""Record what the storage is asked for, and open every state that a power cut could leave of it.

The figure is how many distinct states were opened, and how many of them were not as they have to
be: sound, with all that had been acknowledged, and each call whole or absent.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from tests.processes import context
from tests.torture import command, storage
from tests.torture.powercut import states, workloads
from tests.torture.powercut.disk import load
from tests.torture.powercut.states import Figures, Recording
from tests.torture.powercut.workloads import WORKLOADS
from tests.torture.variants import BROKEN

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_SHORT, _LONG = 40, 3000
_RECORDINGS_OF_THE_LONG_FORM = 3


def main(words: list[str] | None = None) -> int:
    """Run, print what came of it, and return the exit code."""
    arguments = command.parse("powercut", __doc__, words, BROKEN)
    if (reason := storage.missing()) is not None:
        print(f"skipped: {reason}")
        return 0
    figures = Figures()
    for number in range(_RECORDINGS_OF_THE_LONG_FORM if arguments.long else 1):
        seed = arguments.seed + number
        figures.add(run(_LONG if arguments.long else _SHORT, seed, arguments.broken or ""))
    for explanation in figures.explanations:
        print(explanation)
    print(figures)
    return 1 if figures.faults else 0


def run(
    wanted: int, seed: int, broken: str = "", names: Collection[str] = tuple(WORKLOADS)
) -> Figures:
    """Record workloads, and open about so many states of each."""
    figures = Figures()
    with storage.scratch() as scratch:
        recording = record(scratch, seed, broken, names)
        figures.faults += len(recording.errors)
        figures.explanations += recording.errors
        with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
            running = [pool.submit(states.check, recording, name, wanted) for name in names]
            for each in running:
                figures.add(each.result())
    return figures


def record(scratch: Path, seed: int, broken: str, names: Collection[str]) -> Recording:
    """Carry out workloads in a process whose storage is recorded, and see that all of it was."""
    folder, log = scratch / "databases", scratch / "log"
    folder.mkdir()
    package = workloads.prepare(folder, names)
    before = {name: load(folder / name) for name in names}
    words = (str(folder), str(package), str(seed), broken, *names)
    with storage.preloaded(folder, log, workloads.__name__, *words) as process:
        printed, _ = process.communicate()
    recording = Recording(before, log, package, seed, not broken, printed.splitlines())
    for name in names:
        for difference in states.differences(load(folder / name), states.replayed(recording, name)):
            raise AssertionError(f"{name}: {difference}")
    return recording


if __name__ == "__main__":
    sys.exit(main())
