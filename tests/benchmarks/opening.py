"""The start of a process: the interpreter, the imports, open, and the first read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import beryl_groups
from tests.benchmarks.alchemy import Core, Orm
from tests.benchmarks.contender import Ours
from tests.benchmarks.measure import groups_of_ten, interleaved
from tests.benchmarks.raw import Raw
from tests.benchmarks.table import Row
from tests.benchmarks.units import Unit

if TYPE_CHECKING:
    from tests.benchmarks.contender import Kind
    from tests.benchmarks.measure import Bench

_ON_OUR_FILE = {Raw.name, Core.name, Orm.name}


def process_start(bench: Bench) -> Row:
    content = groups_of_ten(100)
    name = content[50][0]
    with ExitStack() as stack:
        addresses: dict[str, str] = {}
        for kind in bench.kinds:
            if kind.name in _ON_OUR_FILE:
                addresses[kind.name] = addresses[Ours.name]
                continue
            address = stack.enter_context(kind.served(stack.enter_context(bench.new_folder())))
            addresses[kind.name] = address
            contender = kind(address)
            contender.fill(content)
            contender.close()
        rounds_of = {
            kind.name: partial(_seconds_of_start, kind, addresses[kind.name], name)
            for kind in bench.kinds
        }
        results = interleaved(rounds_of, bench.sizes.few_rounds)
    work = "process start, open, first read, against SQLAlchemy Core on the same file"
    return Row(work, Unit.SECONDS, results, 1.08, against=Core.name)


def _seconds_of_start(kind: Kind, address: str, name: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(Path(beryl_groups.__file__).parents[1])}
    # The first round, which does not count, compiles what pip compiles as it installs a package.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", kind.first_read, address, name]
    begin = time.perf_counter()
    subprocess.run(command, check=True, env=environment)
    return time.perf_counter() - begin
