"""Processes for tests: real ones, forked so that a thousand of them cost little."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerContext
    from multiprocessing.process import BaseProcess
    from pathlib import Path

# A fork server that has imported the package: every process starts clean of this one's
# connections and threads, in milliseconds.
context: ForkServerContext = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["beryl_groups", "tests.processes"])


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that runs a function of a test module."""
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def finish(process: BaseProcess, seconds: float = 60) -> None:
    """Wait for a process that has to end well."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"{process.name} did not end within {seconds} s")
    assert process.exitcode == 0, f"{process.name} ended with {process.exitcode}"
    process.close()


def shell(path: Path, sql: str) -> str:
    """Run SQL in the sqlite3 shell, as a user would beside the application."""
    program = shutil.which("sqlite3")
    assert program is not None, "the tests need the sqlite3 shell"
    done = subprocess.run(
        [program, os.fspath(path), sql], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout
