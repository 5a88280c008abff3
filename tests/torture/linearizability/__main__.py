"""``python -m tests.torture.linearizability``: 3 seconds, or 5 minutes with ``--long``.

On files, or with ``--engine postgresql`` on a server that it starts.
"""

from __future__ import annotations

import random
import sys
import time

from tests.torture.command import parse
from tests.torture.linearizability.grounds import KINDS
from tests.torture.linearizability.sessions import Figures, run_session

NOTICED = [(engine, broken) for engine, (kind, _) in KINDS.items() for broken in kind.NOTICED]


def main(words: list[str] | None = None) -> int:
    """Run sessions, print what came of them, and return the exit code."""
    arguments = parse(
        "linearizability", __doc__, words, {broken for _, broken in NOTICED}, engines=KINDS
    )
    seconds = 300 if arguments.long else 3
    figures = run(arguments.seed, seconds, arguments.broken, arguments.engine)
    for fault in figures.faults:
        print(fault)
    print(figures)
    return 1 if figures.faults else 0


def run(seed: int, seconds: float, broken: str | None = None, engine: str = "sqlite") -> Figures:
    """Run sessions, every other one with the library slowed down where races could be lost."""
    kind, grounds = KINDS[engine]
    choice = random.Random(seed)
    figures = Figures()
    with grounds() as ground:
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end and not figures.faults:
            slowed = (choice.choice(kind.SLOWED),) if number % 2 else ()
            variants = (() if broken is None else (broken,)) + slowed
            name = f"{seed}, session {number}"
            run_session(name, figures, ground(), rounds=10, variants=variants)
            number += 1
    return figures


if __name__ == "__main__":
    sys.exit(main())
