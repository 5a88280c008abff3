"""Many threads that add at once, on slow storage and on this machine's.

The measuring runs in a process of its own (``python -m tests.benchmarks.threads``), for slow
storage is a shim that has to be there when a process starts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import contenders
from tests.benchmarks.measure import LONG, Bench, groups_of_ten, interleaved
from tests.benchmarks.table import Row
from tests.benchmarks.units import Unit

if TYPE_CHECKING:
    from tests.benchmarks.contender import Contender

_SHIM = Path(__file__).with_name("slow_sync.c")
_GROUPS = 100


# On Python 3.13 and newer a shelf is a SQLite connection that only one thread may use.
OF_ONE_THREAD = frozenset({"shelve"} if sys.version_info >= (3, 13) else ())


def cannot_slow_down() -> str | None:
    """Say why there can be no slow storage here."""
    if sys.platform != "linux":
        return "slow storage is a shim for Linux"
    return None if shutil.which("cc") else "slow storage is a shim that needs cc"


def build_shim(folder: Path) -> Path:
    """Build what makes the storage of a process slow if LD_PRELOAD names it."""
    shim = folder / "slow_sync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, _SHIM, "-ldl"], check=True)
    return shim


def on_slow_storage(bench: Bench) -> Row:
    with bench.new_folder() as folder:
        results = _in_a_process(bench, {"LD_PRELOAD": str(build_shim(folder))})
    work = f"{bench.sizes.threads} threads that `add`, on storage with a 10 ms sync"
    return Row(work, Unit.PER_SECOND, results, 12, durable=True)


def on_this_disk(bench: Bench) -> Row:
    work = f"{bench.sizes.threads} threads that `add`, on this machine's disk"
    return Row(work, Unit.PER_SECOND, _in_a_process(bench, {}), 2, durable=True)


def _in_a_process(bench: Bench, environment: dict[str, str]) -> dict[str, float]:
    sizes = bench.sizes
    command = [sys.executable, "-m", "tests.benchmarks.threads", str(bench.folder)]
    command += [str(sizes.threads), str(sizes.seconds_of_threads), str(sizes.few_rounds)]
    command += [kind.name for kind in bench.kinds if kind.name not in OF_ONE_THREAD]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env={**os.environ, **environment}
    )
    results: dict[str, float] = json.loads(done.stdout)
    return results


def _calls_per_second(contender: Contender, threads: int, seconds: float) -> float:
    """Have the threads add new topics for a while, each its own call."""
    topics = map("new:{:08}".format, itertools.count(time.perf_counter_ns()))
    all_there = threading.Barrier(threads + 1)

    def add(thread: int) -> int:
        names = itertools.cycle([name for name, _ in groups_of_ten(_GROUPS)[thread:]])
        all_there.wait()
        end = time.perf_counter() + seconds
        calls = 0
        while time.perf_counter() < end:
            contender.add(next(names), next(topics))
            calls += 1
        return calls

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(add, thread) for thread in range(threads)]
        all_there.wait()
        begin = time.perf_counter()
        calls = sum(each.result() for each in running)
        return calls / (time.perf_counter() - begin)


def main() -> None:
    """Print the calls per second of each as JSON."""
    parser = argparse.ArgumentParser(description="One row of the benchmark, in its own process.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("threads", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("rounds", type=int)
    parser.add_argument("names", nargs="+")
    given = parser.parse_args()
    sizes = replace(LONG, threads=given.threads, few_rounds=given.rounds)
    kinds = [kind for kind in contenders.KINDS if kind.name in given.names]
    with Bench(kinds, sizes, given.folder).filled(groups_of_ten(_GROUPS)) as filled:
        rounds_of = {
            name: partial(_calls_per_second, contender, given.threads, given.seconds)
            for name, contender in filled.items()
        }
        print(json.dumps(interleaved(rounds_of, given.rounds)))


if __name__ == "__main__":
    main()
