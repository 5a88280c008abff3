"""``python -m tests.torture.kill``: 40 kills, or 2,000 with ``--long``, and what they did."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.torture.command import parse
from tests.torture.kill.lives import run

NOTICED = ("acknowledges_before_the_commit", "splits_bulk_adds", "splits_transactions")


def main(words: list[str] | None = None) -> int:
    """Kill, print what came of it, and return the exit code."""
    arguments = parse("kill", __doc__, words, NOTICED)
    with tempfile.TemporaryDirectory() as folder:
        kills = 2000 if arguments.long else 40
        figures = run(Path(folder), arguments.seed, kills, arguments.broken)
    for fault in figures.faults:
        print(fault)
    under_way = ", ".join(f"{kind} {times:,}" for kind, times in figures.interrupted.most_common())
    print(f"{figures.calls:,} calls ended; under way at a kill: {under_way}")
    print(f"{figures.drafts:,} backups left a draft")
    print(figures)
    return 1 if figures.faults else 0


if __name__ == "__main__":
    sys.exit(main())
