from __future__ import annotations

import gc
import itertools
import math
import os
import signal
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups.sqlite import connections
from tests.aio import loops
from tests.contract.copies import made
from tests.postgresql import databases, shared
from tests.processes import CI, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from beryl_groups import Groups
    from tests.aio.loops import Run

# A script that runs the tests in the background has them ignore Ctrl-C, and so would all that they
# start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# These take minutes, or pack: they are for CI, and for whoever names them.
for_ci = [
    "benchmarks",
    "coherence/test_runs.py",
    "freezing",
    "postgresql/test_moving.py",
    "postgresql/test_own_servers.py",
    "torture",
]
if CI:
    for_ci = []

# They cannot be imported without the driver, and those beside them say what is missing.
without_driver = [f"postgresql/test_{name}.py" for name in ("hosts", "limits", "pooler")]
if shared.is_missing() is None:
    without_driver = []

# A list of this name in a folder below would take the place of this one there.
collect_ignore = for_ci + without_driver


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shared.announce()


def pytest_unconfigure(config: pytest.Config) -> None:
    databases.leave()
    if not hasattr(config, "workerinput"):
        shared.end()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.args == config.getini("testpaths"):
        for name in for_ci:
            terminalreporter.write_line(
                f"SKIPPED tests/{name}: it is for CI, and run where CI=1 is set"
            )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each worker begin with its share of the slow ones: none is left for the end.

    pytest-xdist hands each an equal part of them all, in order, before they take from another.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    size = math.ceil(len(rest) / workers)
    items[:] = [
        item
        for worker in range(workers)
        for item in slow[worker::workers] + rest[worker * size : (worker + 1) * size]
    ]


def pytest_collection_finish() -> None:
    """Have no later collection of garbage look at what is there for as long as the tests run."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "groups.db"


@pytest.fixture
def database(path: Path) -> str:
    """What is handed to ``start``: a database that nobody has opened yet."""
    return str(path)


@pytest.fixture
def new_database(path: Path) -> Callable[[], str]:
    """What gives another such database at each call."""
    numbers = itertools.count(1)
    return lambda: str(path.with_name(f"groups-{next(numbers)}.db"))


@pytest.fixture
def groups(database: str) -> Iterator[Groups]:
    """A handle on that database, on which many may write at once on a slow machine."""
    with beryl_groups.start(database, busy_timeout=PATIENCE) as handle:
        yield handle


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a copy may be made, in a folder of its own."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "copy.db"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of two groups, in a folder of its own."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return made(folder / "last-night.db", {"kept": {"a", "b"}, "empty": set()})


@pytest.fixture
def triggers_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have triggers run, which no handle lets them: to a test they are storage that refuses."""
    monkeypatch.setattr(connections, "distrust", lambda connection: None)


@pytest.fixture(params=loops.KINDS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a new event loop, of each kind."""
    return request.param  # type: ignore[no-any-return]
