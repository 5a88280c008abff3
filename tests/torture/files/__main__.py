"""Files that are damaged, or prepared to do harm: each is refused, right, or told of.

``python -m tests.torture.files --long`` judges 20,000 mutations of real databases, by the rule
that stands at the top of ``tests/torture/files/rule.py``.
"""

from __future__ import annotations

import sys

from tests.torture import command
from tests.torture.files.run import run
from tests.torture.files.variants import BROKEN

SHORT, LONG = 200, 20_000


def main(words: list[str] | None = None) -> int:
    arguments = command.parse("files", __doc__, words, BROKEN)
    mutations = LONG if arguments.long else SHORT
    report = run(arguments.seed, mutations, arguments.broken)
    for fault in report.faults:
        print(fault)
    print(", ".join(f"{number:,} {came}" for came, number in sorted(report.counts.items())))
    print(f"{mutations:,} mutations, {len(report.faults)} faults")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
