"""Have several processes work on one file for 30 minutes, one of which holds on to its reads.

They write, read, broadcast to callbacks that are slow, export as slowly as a reader may that is
in no hurry, come and go, and make backups. The figure is how much memory, how many descriptors
and how large a WAL it takes more in the end. A WAL grows while a reader holds on beside writers
without a pause, and shrinks again when it lets go.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.torture import command
from tests.torture.longlife import watch
from tests.torture.longlife.variants import BROKEN
from tests.torture.longlife.workers import Plan


def main(words: list[str] | None = None) -> int:
    """Run, print what came of it, and return the exit code."""
    arguments = command.parse("longlife", __doc__, words, BROKEN)
    if sys.platform != "linux":
        print("skipped: what a process takes is read from /proc")
        return 0
    seconds, longest_hold = (1800, 20) if arguments.long else (20, 2)
    with TemporaryDirectory() as folder:
        patience = 5 if arguments.broken else 120
        plan = Plan(
            Path(folder), seconds, arguments.seed, longest_hold, patience, arguments.broken or ""
        )
        figures = watch.run(plan)
    for fault in figures.faults:
        print(fault)
    print(f"{seconds:,} seconds: {figures}")
    return 1 if figures.faults else 0


if __name__ == "__main__":
    sys.exit(main())
