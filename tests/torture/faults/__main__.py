"""Have each write, sync, truncate, open and change of a name of a database's life fail in turn.

With a full disk, failed I/O, a quota that is used up and writes that are cut short; once, and
from then on until some calls have failed. The figure is how many lives there were, how many calls
failed in them, and how many of those did not do so as they have to.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from random import Random

from tests.processes import context
from tests.torture import command, storage
from tests.torture.faults import full_disk, lives
from tests.torture.faults.lives import Figures
from tests.torture.faults.variants import BROKEN

_LIVES_OF_THE_SHORT_FORM = 12
"""Of each class of operations."""
_LIVES_AT_A_TIME = 100
_FULL_DISKS = {False: 4, True: 100}


def main(words: list[str] | None = None) -> int:
    """Run, print what came of it, and return the exit code."""
    arguments = command.parse("faults", __doc__, words, BROKEN)
    if (reason := storage.missing()) is not None:
        print(f"skipped: {reason}")
        return 0
    figures = run(
        None if arguments.long else _LIVES_OF_THE_SHORT_FORM,
        arguments.seed,
        arguments.broken or "",
    )
    if (reason := full_disk.missing()) is not None:
        print(f"no full disk: {reason}")
        disks = 0
    else:
        disks = _FULL_DISKS[arguments.long]
        figures.faults += full_disk.faults(disks)
    for fault in figures.faults:
        print(fault)
    calls = sum(figures.failures.values())
    print(
        f"{figures.lives:,} lives with {calls:,} calls that failed, {disks:,} full disks, "
        f"{len(figures.faults):,} faults"
    )
    return 1 if figures.faults else 0


def run(number: int | None, seed: int, broken: str = "") -> Figures:
    """Live so many lives for each class of operations, or all."""
    plans = lives.everything(Random(seed))
    Random(seed).shuffle(plans)
    plans = [
        plan
        for kind in storage.CLASSES
        for plan in [each for each in plans if each.kind == kind][:number]
    ]
    figures = Figures()
    size = min(_LIVES_AT_A_TIME, -(-len(plans) // (os.cpu_count() or 1)))
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        running = [
            pool.submit(lives.run, plans[begin : begin + size], broken)
            for begin in range(0, len(plans), size)
        ]
        for each in running:
            figures.add(each.result())
    return figures


if __name__ == "__main__":
    sys.exit(main())
