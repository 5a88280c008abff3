"""``python -m tests.torture.watch``: 5 seconds, or 10,000,000 changes with ``--long``."""

from __future__ import annotations

import sys
import time

from tests.torture.command import parse
from tests.torture.watch.session import Figures, run_session
from tests.torture.watch.variants import BROKEN

_ROUNDS = 50
_MANY = 10_000_000


def main(words: list[str] | None = None) -> int:
    """Run sessions, print what came of them, and return the exit code."""
    arguments = parse("watch", __doc__, words, BROKEN)
    steps, seconds = (_MANY, float("inf")) if arguments.long else (0, 5.0)
    figures = run(arguments.seed, seconds, arguments.broken, steps=steps)
    for fault in figures.faults:
        print(fault)
    print(figures)
    return 1 if figures.faults else 0


def run(seed: int, seconds: float, broken: str | None = None, *, steps: int = 0) -> Figures:
    """Run sessions for so long, or until so many changes were applied where that is a number."""
    figures = Figures()
    end = time.monotonic() + seconds
    number = 0
    while not figures.faults and time.monotonic() < end and not (steps and figures.steps >= steps):
        variants = () if broken is None else (broken,)
        run_session(f"{seed}, session {number}", figures, _ROUNDS, variants)
        number += 1
    return figures


if __name__ == "__main__":
    sys.exit(main())
