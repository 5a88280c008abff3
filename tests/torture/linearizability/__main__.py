"""``python -m tests.torture.linearizability``: 3 seconds, or 5 minutes with ``--long``."""

from __future__ import annotations

import random
import sys
import time

from tests.coherence.variants import SLOWED
from tests.torture.command import parse
from tests.torture.linearizability.sessions import Figures, run_session

NOTICED = ("acknowledges_before_the_commit", "never_looks", "splits_transactions")


def main(words: list[str] | None = None) -> int:
    """Run sessions, print what came of them, and return the exit code."""
    arguments = parse("linearizability", __doc__, words, NOTICED)
    figures = run(arguments.seed, 300 if arguments.long else 3, arguments.broken)
    for fault in figures.faults:
        print(fault)
    print(figures)
    return 1 if figures.faults else 0


def run(seed: int, seconds: float, broken: str | None = None) -> Figures:
    """Run sessions, every other one with the library slowed down where races could be lost."""
    choice = random.Random(seed)
    figures = Figures()
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end and not figures.faults:
        slowed = (choice.choice(list(SLOWED)),) if number % 2 else ()
        variants = (() if broken is None else (broken,)) + slowed
        run_session(f"{seed}, session {number}", figures, rounds=10, variants=variants)
        number += 1
    return figures


if __name__ == "__main__":
    sys.exit(main())
