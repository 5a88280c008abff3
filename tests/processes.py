"""Processes and threads for tests: real ones, in such a way that a thousand cost little."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Barrier

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a test takes what it waits for to hang; a slow machine needs a few."""

CI = "CI" in os.environ
"""Whether what is left to CI is run."""

THOROUGH = os.environ.get("CI") == "long"
"""Whether to try each step of a call in turn, and not only some."""

for_ci = pytest.mark.skipif(not CI, reason="it is for CI, where CI=1 is set")

# A fork server that has imported the package: every process starts clean of this one's
# connections and threads, in milliseconds. Alembic and pytest are only there to cost nothing
# in the process: the test modules import the one, and a new file needs the other.
context: ForkServerContext = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["alembic.command", "beryl_groups.groups", "pytest", "tests.processes", "tests.forkserver"]
)


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that runs a function of a test module."""
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def finish(process: BaseProcess, seconds: float = PATIENCE, *, exitcode: int = 0) -> None:
    """Wait for a process that has to end well, or in another way that the test expects."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"{process.name} did not end within {seconds} s")
    assert process.exitcode == exitcode, f"{process.name} ended with {process.exitcode}"
    process.close()


def finish_killed(process: BaseProcess) -> None:
    """Wait for a process that SIGKILL ends."""
    finish(process, exitcode=-signal.SIGKILL)


def gather(target: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run a function in a process for each tuple of arguments, all at the same moment.

    Return the results in the order of the tuples.
    """
    barrier = context.Barrier(len(calls))
    started = []
    for arguments in calls:
        reader, writer = context.Pipe(duplex=False)
        started.append((start(_send_result, writer, barrier, target, arguments), reader))
        writer.close()
    results = []
    for process, reader in started:
        with reader, suppress(EOFError):  # a process that failed has shown why on stderr
            assert reader.poll(PATIENCE), f"{process.name} gave no result within {PATIENCE} s"
            results.append(reader.recv())
        finish(process)
    return results


def _send_result(
    pipe: Connection, barrier: Barrier, target: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    with pipe:
        barrier.wait(PATIENCE)
        pipe.send(target(*arguments))


class Fork:
    """A child made by ``os.fork``, which has all that its parent had, and runs a function."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            _run_in_child(function, writer)
        os.close(writer)

    def result(self, seconds: float = PATIENCE) -> Any:
        """Wait for the end of the child and return what its function returned."""
        status, received = self._end(seconds)
        assert status == 0, f"the forked child ended with the status {status}"
        failure, result = pickle.loads(received)
        assert failure is None, f"in the forked child:\n{failure}"
        return result

    def wait_killed(self, seconds: float = PATIENCE) -> None:
        """Wait for a child that SIGKILL ends."""
        status, _ = self._end(seconds)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL

    def _end(self, seconds: float) -> tuple[int, bytes]:
        received = bytearray()
        while True:
            ready, _, _ = select.select([self._reader], [], [], seconds)
            if not ready:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"the forked child did not end within {seconds} s")
            part = os.read(self._reader, 65536)
            if not part:
                break
            received += part
        os.close(self._reader)
        _, status = os.waitpid(self.pid, 0)
        return status, bytes(received)


def _run_in_child(function: Callable[[], object], writer: int) -> None:
    outcome: tuple[str | None, object] = (None, None)
    try:
        outcome = (None, function())
    except BaseException:
        outcome = (traceback.format_exc(), None)
    finally:
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(outcome, pipe)
        os._exit(0)


def in_thread(function: Callable[[], T]) -> Future[T]:
    """Run a function in a thread, which keeps nobody from ending even if it hangs."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def together(*functions: Callable[[], T]) -> list[T]:
    """Run each function in a thread, all at the same moment, and return what they return."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], T]) -> T:
        barrier.wait(PATIENCE)
        return function()

    futures = [in_thread(partial(run, function)) for function in functions]
    return [future.result(PATIENCE) for future in futures]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what gives no signal that one could wait for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)


def open_files() -> list[str]:
    """Name what this process has open, once for each descriptor."""
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(os.fspath(descriptor.readlink()))
    return sorted(names)


def opened_since(before: list[str]) -> list[str]:
    """Name what has been opened; what earlier tests have left behind may be closed meanwhile."""
    return sorted((Counter(open_files()) - Counter(before)).elements())


@contextmanager
def handled(number: int, handler: Callable[..., object]) -> Iterator[None]:
    """Have another handler of a signal for the length of the block."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def wait_until_asleep(pid: int) -> None:
    """Wait until the main thread of a process waits for something.

    A signal that comes in the instant before is heard by Python only after the wait.
    """
    looks = 0

    def sleeps() -> bool:
        nonlocal looks
        _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
        looks = looks + 1 if fields.startswith("S") else 0
        return looks == 10  # and not only for its turn with the interpreter

    wait_until(sleeps)


def shell(path: Path, sql: str) -> str:
    """Run SQL in the sqlite3 shell, as a user would beside the application."""
    program = shutil.which("sqlite3")
    assert program is not None, "the tests need the sqlite3 shell"
    done = subprocess.run(
        [program, os.fspath(path), sql], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout
