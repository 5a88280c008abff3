"""``python -m tests.torture.postgresql``: 40 interruptions, or 1,000 with ``--long``."""

from __future__ import annotations

import sys

from tests.torture.command import parse
from tests.torture.postgresql.rounds import run
from tests.torture.postgresql.variants import BROKEN


def main(words: list[str] | None = None) -> int:
    """Interrupt, print what came of it, and return the exit code."""
    arguments = parse("postgresql", __doc__, words, BROKEN)
    figures = run(arguments.seed, 1000 if arguments.long else 40, arguments.broken)
    for fault in figures.faults:
        print(fault)
    # Clients that were killed have not told how their calls ended.
    for told in (figures.done, figures.outcomes):
        print(", ".join(f"{what} {times:,}" for what, times in told.most_common()))
    print(f"{figures.calls:,} calls ended")
    print(figures)
    return 1 if figures.faults else 0


if __name__ == "__main__":
    sys.exit(main())
