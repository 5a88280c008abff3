"""What the tests of opening a database share: looking at files, and processes beside this one."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beryl_groups import sqlite
from beryl_groups.revisions import VERSION_TABLE
from tests.processes import PATIENCE, context, finish, finish_killed, gather, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

NOBODY = 65534

LOCK_TIMEOUT = 0.2
"""Seconds to wait for a lock that is not going to be released."""


def everything(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, byte for byte.

    Of a shared memory file only that it is there: it says who looks at the database, not what
    is in it, and to read it would drop the locks that SQLite holds in this process.
    """
    return {
        entry.name: entry.read_bytes()
        if entry.is_file() and not entry.name.endswith("-shm")
        else b""
        for entry in folder.iterdir()
    }


def run_sql(path: Path, *statements: str) -> list[Any]:
    """Run SQL as another application would, and return the rows of the last statement.

    Through the driver of the package: two copies of SQLite in one process would undo each
    other's locks.
    """
    rows: list[Any] = []
    with closing(sqlite.driver.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows


def schema_of(path: Path) -> list[Any]:
    """Return the whole schema of a file as SQLite keeps it, with the revision it bears."""
    schema = run_sql(path, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")
    return schema + revision_of(path)


def revision_of(path: Path) -> list[Any]:
    return run_sql(path, f"SELECT version_num FROM {VERSION_TABLE}")


@contextmanager
def another_process(path: Path, *statements: str) -> Iterator[BaseProcess]:
    """Have another process run SQL and keep its connection open for the length of the block."""
    here, there = context.Pipe()
    process = start(_hold, there, path, statements)
    there.close()
    with here:
        assert here.poll(PATIENCE), "the other process does not answer"
        here.recv()
        yield process
    if process.exitcode is None:
        finish(process)


def kill_another_process(path: Path, *statements: str) -> None:
    """Have another process run SQL and be killed with its connection open."""
    with another_process(path, *statements) as process:
        process.kill()
        process.join()
    finish_killed(process)


def _hold(pipe: Connection, path: Path, statements: tuple[str, ...]) -> None:
    with closing(sqlite.driver.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()
        pipe.send("ready")
        pipe.poll(None)  # the other end is closed when the test has seen enough


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """Give a folder that every user may reach and change; a folder of pytest is private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        folder.chmod(0o777)
        shutil.rmtree(folder)


def unprivileged(target: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process whom file permissions bind, as they do not bind root."""
    (result,) = gather(_as_nobody, [(target, *arguments)])
    return result


def _as_nobody(target: Callable[..., Any], *arguments: Any) -> Any:
    become_nobody()
    return target(*arguments)


def become_nobody() -> None:
    """Give up being root; who is not root stays who they are."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def give_to_nobody(*paths: Path) -> None:
    """Make files and folders those of the user that `unprivileged` runs as."""
    if os.getuid() == 0:
        for path in paths:
            os.chown(path, NOBODY, NOBODY)
