"""Print the table: ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from beryl_groups.sqlite import driver
from tests.benchmarks import contenders, opening, processes, reads, table, tail, threads, writes
from tests.benchmarks.contender import Ours
from tests.benchmarks.measure import LONG, SHORT, Bench
from tests.benchmarks.raw import Raw
from tests.benchmarks.units import Unit, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.table import Row

_ALWAYS = (Ours.name, Raw.name, "SQLAlchemy Core")  # the limits refer to these


def main() -> None:
    given = _arguments()
    missing = {kind.name: kind.missing() for kind in contenders.KINDS}
    kinds = [
        kind
        for kind in contenders.KINDS
        if missing[kind.name] is None and (kind.name in _ALWAYS or not given.without_peers)
    ]
    with TemporaryDirectory(prefix="benchmarks-", dir=given.folder) as folder:
        bench = Bench(kinds, SHORT if given.short else LONG, Path(folder))
        rows, shares, parts = _measure(bench)
    print(_machine(given.folder), table.held_to_limits(rows, judged=not given.short), sep="\n\n")
    names = [kind.name for kind in kinds]
    print("", table.side_by_side(rows, names), sep="\n")
    not_durable = [kind.name for kind in kinds if not kind.durable]
    print("\nWho is ahead of beryl_groups:", table.who_is_ahead(rows, not_durable), sep="\n")
    print("\nHow several processes share the file:", shares, sep="\n\n")
    print("\nWhat the slowest reads are made of:", parts, sep="\n\n")
    print("\nWhat each promises, and what it does not:")
    for kind in contenders.KINDS:
        reason = missing[kind.name]
        print(f"- {kind.name}: {kind.promises}." + (f" Not here: {reason}." if reason else ""))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="do little of everything, to see that it works"
    )
    parser.add_argument(
        "--without-peers", action="store_true", help="measure only what the limits refer to"
    )
    parser.add_argument("--folder", help="where the files are made (the folder for temporary ones)")
    return parser.parse_args()


def _measure(bench: Bench) -> tuple[list[Row], str, str]:
    works: list[Callable[[Bench], Row]] = [
        reads.cached,
        reads.uncached,
        reads.scattered,
        writes.one_add,
        writes.large_add,
        opening.process_start,
        writes.file_size,
        reads.broadcast,
    ]
    obstacle = threads.cannot_slow_down()
    if obstacle is None:
        works.append(threads.on_slow_storage)
    else:
        print(f"Left out, for {obstacle}: the threads on slow storage.", file=sys.stderr)
    works.append(threads.on_this_disk)
    rows = []
    for work in works:
        rows.append(work(bench))
        print(".", end="", file=sys.stderr, flush=True)
    several, shares = processes.at_once(bench)
    slowest, parts = tail.slowest_reads(bench)
    print(file=sys.stderr)
    return [*rows, *several, slowest], shares, parts


def _machine(folder: str | None) -> str:
    """Say on what it was measured, and how long a sync takes there."""
    seconds = []
    with TemporaryDirectory(dir=folder) as there, (Path(there) / "file").open("wb") as file:
        for _ in range(20):
            file.write(b"\0" * 4096)
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - begin)
    return (
        f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {driver.sqlite_version}; "
        f"a sync takes {shown(statistics.median(seconds), Unit.SECONDS)}."
    )


if __name__ == "__main__":
    main()
