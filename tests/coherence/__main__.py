"""The long form: ``python -m tests.coherence --seconds 600 --seed 7``.

Rounds of a few seconds follow one another, each with other processes, handles, threads and
caches, and every other one with the library slowed down where races could be lost. It prints
its figures last, and exits with 1 where a read was wrong. ``--broken NAME`` breaks the library.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import time

from tests.coherence.rounds import Figures, random_plan, run
from tests.coherence.variants import BROKEN, SLOWED

_SECONDS_OF_A_ROUND = 5.0


def main(words: list[str] | None = None) -> int:
    """Run rounds, print what came of them, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.coherence", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long to go on")
    parser.add_argument("--seed", type=int, default=None, help="what decides who does what")
    parser.add_argument("--broken", choices=BROKEN, help="break the library on purpose")
    arguments = parser.parse_args(words)
    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    broken = (arguments.broken,) if arguments.broken else ()
    choice = random.Random(seed)
    figures = Figures()
    end = time.monotonic() + arguments.seconds
    number = 0
    while (left := end - time.monotonic()) > 0 and not figures.violations:
        slowed = (choice.choice(list(SLOWED)),) if number % 2 else ()
        plan = random_plan(
            f"{seed}, round {number}", min(_SECONDS_OF_A_ROUND, left), broken + slowed
        )
        result = run(plan)
        if sys.stdout.isatty():
            print(f"round {number}: {result}", flush=True)
        figures.add(result)
        number += 1
    for explanation in figures.explanations:
        print(explanation)
    print(figures)
    return 1 if figures.violations else 0


if __name__ == "__main__":
    sys.exit(main())
