"""Opening a database: options, modes of files, and a host that notices nothing."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed
from tests.processes import PATIENCE, gather, in_thread
from tests.sqlite.opening import another_process, run_sql

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("busy_timeout", [-1, -0.001, math.nan, -math.inf])
def test_a_busy_timeout_that_is_no_time_is_refused(path: Path, busy_timeout: float) -> None:
    """A negative time, and one that is no number, are refused before a file is made."""
    with pytest.raises(ValueError, match="busy_timeout"):
        beryl_groups.start(path, busy_timeout=busy_timeout).close()
    assert not path.exists()


@pytest.mark.parametrize("synchronous", ["off", "extra", "FULL", "", None, 2])
def test_another_synchronous_is_refused(path: Path, synchronous: str) -> None:
    """What promises less than the contract, or is unknown, is refused before a file is made."""
    with pytest.raises(ValueError, match="synchronous"):
        beryl_groups.start(path, synchronous=synchronous).close()  # type: ignore[arg-type]
    assert not path.exists()


def settings(groups: beryl_groups.Groups, pragma: str) -> set[object]:
    """Return what a pragma says on the connections of a handle, for reading and for writing."""
    return {
        use(lambda connection: connection.execute(f"PRAGMA {pragma}").fetchone()[0])
        for use in (groups._read, groups._write)
    }


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
def test_options_hold_on_every_connection(path: Path, synchronous: str, level: int) -> None:
    """Both options are in force; the connection that writes does not wait, for the handle does."""
    with beryl_groups.start(
        path,
        busy_timeout=1.25,
        synchronous=synchronous,  # type: ignore[arg-type]
    ) as groups:
        assert settings(groups, "busy_timeout") == {1250, 0}
        assert settings(groups, "synchronous") == {level}
        assert settings(groups, "fullfsync") == {int(level == 2)}
        assert settings(groups, "foreign_keys") == {1}
        assert settings(groups, "journal_mode") == {"wal"}


def test_the_defaults_are_five_seconds_and_full(path: Path) -> None:
    """Who says nothing waits 5 s for another writer, and has calls that survive a power cut."""
    with beryl_groups.start(path) as groups:
        assert settings(groups, "busy_timeout") == {5000, 0}
        assert settings(groups, "synchronous") == {2}


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    """An empty file is where a database is to be, not somebody else's."""
    path.touch()
    with beryl_groups.start(path) as groups:
        groups.create("team")
        assert groups.check() == []


def test_an_empty_database_in_another_encoding_keeps_code_point_order(path: Path) -> None:
    """Names come in code point order, or the file is refused: UTF-16 would order otherwise."""
    run_sql(path, "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t(a)", "DROP TABLE t")
    names = ["a", "\u0100", "\ue000", "\U0001f600"]
    try:
        groups = beryl_groups.start(path)
    except StartFailed:
        return
    with groups:
        for name in reversed(names):
            groups.create(name)
        assert list(groups) == names


def test_a_current_file_opens_while_another_process_writes(path: Path) -> None:
    """To open a current file takes no lock that a writer would have to give up."""
    beryl_groups.start(path).close()
    with (
        another_process(path, "BEGIN IMMEDIATE", "INSERT INTO groups(name) VALUES ('theirs')"),
        beryl_groups.start(path, busy_timeout=0) as groups,
    ):
        assert list(groups) == []


def test_start_waits_for_whoever_makes_the_schema(path: Path) -> None:
    """A file that is locked for less than ``busy_timeout`` is opened once it is free."""
    with another_process(path, "BEGIN EXCLUSIVE"):
        opening = in_thread(lambda: beryl_groups.start(path, busy_timeout=PATIENCE))
    with opening.result(PATIENCE) as groups:
        assert list(groups) == []


def test_a_file_taken_out_of_wal_mode_is_put_back(path: Path) -> None:
    """A current file whose journal mode was changed in the shell is in WAL mode once more."""
    with beryl_groups.start(path) as groups:
        groups.create("team")
    assert run_sql(path, "PRAGMA journal_mode = DELETE") == [("delete",)]
    with beryl_groups.start(path) as groups:
        assert settings(groups, "journal_mode") == {"wal"}
        assert list(groups) == ["team"]


def modes_under(umask: int, path: Path) -> dict[str, str]:
    """Make a database under a umask and return the mode of each file while it is in use."""
    os.umask(umask)
    with beryl_groups.start(path) as groups:
        groups.create("team")
        return {entry.name: oct(entry.stat().st_mode & 0o777) for entry in path.parent.iterdir()}


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777], ids=oct)
@pytest.mark.parametrize("name", ["groups.db", "with space.db"])
def test_a_new_database_is_for_its_owner_alone(tmp_path: Path, umask: int, name: str) -> None:
    """The file and its sidecars have the mode 0600, whatever the umask."""
    (modes,) = gather(modes_under, [(umask, tmp_path / name)])
    assert modes == {name: "0o600", f"{name}-wal": "0o600", f"{name}-shm": "0o600"}


def test_a_file_keeps_the_mode_that_it_had(path: Path) -> None:
    """A file that its owner shares stays shared, and so are its sidecars."""
    path.touch()
    path.chmod(0o664)
    (modes,) = gather(modes_under, [(0o077, path)])
    assert set(modes.values()) == {"0o664"}


HOST = """
import json, logging, os, signal, sys, threading, warnings

logging.basicConfig(level=logging.WARNING, format="host %(message)s")
logging.getLogger("alembic").setLevel(logging.ERROR)
logging.getLogger("host").addHandler(logging.StreamHandler())
warnings.simplefilter("error", DeprecationWarning)
signal.signal(signal.SIGTERM, lambda *_: None)

def described(logger):
    # Libraries give their own loggers a handler that does nothing, and Alembic is one.
    handlers = [h for h in logger.handlers if not isinstance(h, logging.NullHandler)]
    return (logger.level, logger.disabled, logger.propagate, list(map(id, handlers)))

def state():
    return {
        "root": described(logging.getLogger()),
        "loggers": {name: described(logging.getLogger(name)) for name in ("alembic", "host")},
        "logging": (logging.root.manager.disable, logging.raiseExceptions, logging._srcfile),
        "warnings": list(map(repr, warnings.filters)),
        "showwarning": id(warnings.showwarning),
        "signals": {int(s): repr(signal.getsignal(s)) for s in signal.valid_signals()},
        "hooks": list(map(id, (sys.excepthook, sys.unraisablehook, threading.excepthook))),
        "path": list(sys.path),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "threads": threading.active_count(),
    }

before = state()
import beryl_groups
groups = beryl_groups.start(sys.argv[1])
migrated = "alembic" in sys.modules
during = state()
groups.create("team")
groups.close()
print(json.dumps([migrated, before == during == state(), before, during, state()]))
"""


def test_the_host_is_the_same_before_and_after(path: Path) -> None:
    """A start that migrates leaves the host's logging, warnings and signals as they were."""
    done = subprocess.run(
        [sys.executable, "-c", HOST, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    migrated, same, *states = json.loads(done.stdout)
    assert migrated
    assert same, states
