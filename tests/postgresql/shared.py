"""The one server of a run of the tests, for all its workers and for what they start.

Who needs it first has a keeper start it: a process that stops it when the run is over, however
that ends. Run as ``python -m tests.postgresql.shared FOLDER PID`` it is that keeper.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from tests.postgresql.server import PATIENCE, QUICK, Server, Unavailable, programs

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER = "BERYL_GROUPS_TESTS_POSTGRESQL"
_RUN = "BERYL_GROUPS_TESTS_RUN"


def announce() -> None:
    """Say in the process that began the tests where the server of this run will be."""
    name = f"beryl-postgresql-of-{os.getpid()}-{time.time_ns()}"
    os.environ[_FOLDER] = str(Path(gettempdir()) / name)
    os.environ[_RUN] = str(os.getpid())


def end() -> None:
    """Have the server stopped, if there is one, in the process that began the tests."""
    folder = Path(os.environ[_FOLDER])
    if folder.exists():
        try:
            os.kill(int((folder / "keeper").read_text()), signal.SIGTERM)
            _wait(lambda: not folder.exists())
        except (OSError, ValueError, Unavailable):  # there is none, or none any more
            shutil.rmtree(folder, ignore_errors=True)


def url() -> str:
    """Return the URL of a database of the server that is always there, or raise `Unavailable`."""
    folder = Path(os.environ[_FOLDER])
    try:
        folder.mkdir()
    except FileExistsError:
        pass
    else:
        folder.chmod(0o755)
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.postgresql.shared", folder, os.environ[_RUN]],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        keeper.returncode = 0  # it outlives this process: nobody is to complain of that
        (folder / "keeper").write_text(str(keeper.pid))
    _wait((folder / "started").exists)
    found = (folder / "started").read_text()
    if not found.startswith("postgresql"):
        raise Unavailable(found)
    return found


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Unavailable("the server did not start")
        time.sleep(0.01)


def _keep(folder: Path, run: int) -> None:
    over = False

    def end(*_: object) -> None:
        nonlocal over
        over = True

    signal.signal(signal.SIGTERM, end)
    server = None
    try:
        try:
            server = Server(folder, **QUICK)
            server.start()
            answer = server.url()
        except Exception as error:  # the tests are to hear of it, whatever it is
            answer = f"needs a PostgreSQL server: {error}"
        (folder / "starting").write_text(answer)
        (folder / "starting").rename(folder / "started")
        while not over and _lives(run):
            time.sleep(0.2)
    finally:
        if server is not None:
            server.close()
        shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_missing() -> str | None:
    """Return why there can be no server here, as far as that is known without starting it."""
    try:
        import psycopg  # noqa: F401 - it may be missing

        programs()
    except ImportError:
        return "needs psycopg: pip install 'beryl_groups[postgresql]'"
    except Unavailable as error:
        return str(error)
    return None


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
