"""Measure how the library holds up as a file grows: ``python -m tests.benchmarks.growth``.

Each size is filled through the library and measured in processes of its own. It prints a table,
and writes it and a plot to files where it is told to.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.units import Unit, shown

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)

# A file, its WAL, and what a transaction of the filling may add.
_MOST_BYTES_OF_A_MEMBERSHIP = 400

_COLUMNS: dict[str, tuple[str, Unit]] = {
    "cached": ("`topics` (cached)", Unit.SECONDS),
    "uncached": ("`topics` (uncached)", Unit.SECONDS),
    "groups_of": ("`groups_of`", Unit.SECONDS),
    "page": ("page of 100", Unit.SECONDS),
    "add": ("`add`", Unit.SECONDS),
    "create": ("`create`", Unit.SECONDS),
    "sync": ("a bare sync", Unit.SECONDS),
    "open": ("open", Unit.SECONDS),
    "length": ("`len`", Unit.SECONDS),
    "filled": ("memberships filled", Unit.PER_SECOND),
    "memory": ("peak memory", Unit.BYTES),
    "file": ("file size", Unit.BYTES),
}

TIMES = {
    "add": "add (durable)",
    "create": "create (durable)",
    "open": "open",
    "page": "list_groups, page of 100",
    "groups_of": "groups_of, 10 groups",
    "uncached": "topics of 10, uncached",
    "cached": "topics of 10, cached",
    "length": "len, uncached",
    "sync": "a bare sync of this disk",
}

BYTES = {"file": "file", "memory": "peak memory of a reader"}

Figures = dict[str, float]


def main() -> None:
    given = _arguments()
    with TemporaryDirectory(prefix="growth-", dir=given.folder) as folder:
        found = {}
        for size in given.sizes:
            print(f"{size:,} memberships", file=sys.stderr, flush=True)
            found[size] = _measured(size, Path(folder) / f"{size}.db")
    table = _table(found)
    print(table)
    if given.table is not None:
        given.table.write_text(f"{table}\n", encoding="utf-8")
    if given.svg is not None:
        plot(found, given.svg)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth", description=__doc__)
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help="memberships: 1000,10000,...")
    parser.add_argument("--svg", type=Path, help="where to write the plot")
    parser.add_argument("--table", type=Path, help="where to write the table")
    parser.add_argument("--folder", help="where the files are made (the folder for temporary ones)")
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in text.split(",")))


def _measured(size: int, path: Path) -> Figures:
    free = shutil.disk_usage(path.parent).free
    if free < size * _MOST_BYTES_OF_A_MEMBERSHIP:
        sys.exit(f"{path.parent} has no room for {size:,} memberships.")
    figures = {
        **_in_a_process("fill", size, path),
        "file": float(path.stat().st_size),
        **_in_a_process("memory", size, path),
        **_in_a_process("times", size, path),
    }
    path.unlink()
    return figures


def _in_a_process(what: str, size: int, path: Path) -> Figures:
    command = [sys.executable, "-m", "tests.benchmarks.growing", what, str(size), str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures: Figures = json.loads(done.stdout)
    return figures


def _table(found: dict[int, Figures]) -> str:
    heads = ["memberships", *(head for head, _ in _COLUMNS.values())]
    lines = [f"| {' | '.join(heads)} |", "|---:" * len(heads) + "|"]
    for size, figures in found.items():
        cells = [
            shown(figures[key], unit) if key in figures else "-"
            for key, (_, unit) in _COLUMNS.items()
        ]
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: dict[int, Figures], path: Path) -> None:
    from tests.benchmarks.plot import Panel, draw  # which needs a library that the table does not

    def lines(labels: dict[str, str]) -> dict[str, list[float]]:
        return {
            label: [figures[key] for figures in found.values()]
            for key, label in labels.items()
            if all(key in figures for figures in found.values())
        }

    panels = [
        Panel("Time of a call", Unit.SECONDS, 5, lines(TIMES)),
        Panel("Bytes", Unit.BYTES, 3, lines(BYTES)),
    ]
    draw(path, list(found), "memberships in the file", panels)


if __name__ == "__main__":
    main()
