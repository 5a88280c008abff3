"""A sentence says what went wrong, where SQLite says only that something did."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import sqlite
from tests.frozen.make import FOLDER
from tests.processes import PATIENCE
from tests.sqlite.namespaces import needs_mounts, python_with_mounts
from tests.torture.storage import missing, preloaded, scratch

if TYPE_CHECKING:
    from pathlib import Path

# pysqlite3 does not tell which kind of I/O failed.
UNCONFIRMED = (
    "the system did not confirm that what was written is on disk"
    if hasattr(sqlite.driver, "SQLITE_IOERR_FSYNC")
    else "reading or writing the file failed"
)

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX's")


@pytest.mark.skipif(missing() is not None, reason=missing() or "it can be watched")
@pytest.mark.parametrize(
    ("operation", "error", "cause"),
    [
        ("write", "ENOSPC", "the disk is full"),
        ("write", "EDQUOT", "the quota of the user on this disk is used up"),
        ("write", "EIO", "the disk reports a fault"),
        ("write", "EROFS", "its file system may only be read"),
        ("write", "EFBIG", "a file of this process may not grow further"),
        ("write", "ENOMEM", "memory ran out"),
        ("sync", "EIO", "the disk reports a fault"),
        ("sync", "EINTR", UNCONFIRMED),
        ("sync", "ENOSPC", "the disk is full"),
    ],
)
def test_what_the_storage_refused_is_told(operation: str, error: str, cause: str) -> None:
    """The sentence names what the system said, and the next call works once that is over."""
    with scratch() as folder:
        beryl_groups.start(folder / "groups.db").close()  # here, where that takes no time
        arguments = (str(folder), operation, error)
        with preloaded(folder, None, "tests.sqlite.failing", *arguments) as process:
            assert process.stdout is not None
            told, after = process.stdout.read().splitlines()
    assert f"failed: {cause}" in told
    assert after == "['kept'] []"


def run(script: str, path: Path) -> list[str]:
    beryl_groups.start(path).close()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT + script, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


SCRIPT = """
import asyncio, os, resource, signal, sys
import beryl_groups
from beryl_groups import aio
from beryl_groups.sqlite import exchange
path = sys.argv[1]
groups = beryl_groups.start(path)
groups.create("team")

def tell(call):
    try:
        print(call())
    except beryl_groups.GroupError as error:
        print(type(error).__name__, error)

def limit(name, value):
    resource.setrlimit(name, (value, resource.getrlimit(name)[1]))
"""


@on_posix
def test_a_process_with_too_many_files_open_is_told_so(path: Path) -> None:
    """Each way in says that it is the limit of this process, and works when a file is closed."""
    script = """
groups.close()
groups = beryl_groups.start(path)
limit(resource.RLIMIT_NOFILE, 64)
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
tell(lambda: groups.create("new"))
tell(lambda: groups.groups_of("nobody") and list(groups) and groups.check())
tell(lambda: beryl_groups.start(path))
tell(lambda: groups.backup(path + ".copy"))
for each in held:
    os.close(each)
tell(lambda: groups.create("new"))
groups.close()
"""
    *told, last = run(script, path)
    for each in told:
        assert "as many files open as it may, 64" in each or each == "[]" or "too many open" in each
    assert sum("as many files" in each for each in told) >= 2
    assert last == "None"


@on_posix
def test_a_call_that_opens_files_says_when_it_may_open_no_more(path: Path) -> None:
    """Whichever step has no file left: of a new database, a backup, a restore that migrates."""
    script = f"""
groups.backup(path + ".copy")
limit(resource.RLIMIT_NOFILE, 64)
for number in range(12):
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for _ in range(number):
        os.close(held.pop())
    tell(lambda: beryl_groups.start(path + str(number)).close())
    tell(lambda: groups.backup(path + ".copy" + str(number)))
    tell(lambda: groups.restore(path + ".copy"))
    tell(lambda: groups.restore({str(FOLDER / "0001.db")!r}))
    for each in held:
        os.close(each)
groups.close()
"""
    told = run(script, path)
    assert told[-1] == "None"
    failed = [each for each in told if each != "None"]
    assert len(failed) > 12
    for each in failed:
        assert "as many files open as it may, 64" in each or "oo many open files" in each, each
    assert [each for each in path.parent.iterdir() if each.name.startswith(".")] == []


@on_posix
def test_a_limit_of_file_sizes_is_told(path: Path) -> None:
    """Where a file of the process may not grow, the sentence has the limit."""
    script = """
groups.add("team", *[f"{n:050}" for n in range(10_000)])
groups.backup(path + ".copy")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

class OfAnotherEngine:
    def groups(self):
        return [(1, "team", "2026-01-01T00:00:00.000Z")]
    def topics(self):
        return ((1, f"{n:0500}") for n in range(20_000))

for most in (200_000, 1_000_000):
    limit(resource.RLIMIT_FSIZE, most)
    tell(lambda: groups.add("team", *[f"{n:0500}" for n in range(20_000)]))
    tell(lambda: groups.restore(path + ".copy"))
    tell(lambda: groups.backup(path + ".another"))
    tell(lambda: exchange.write_backup(path + ".another", OfAnotherEngine()))
    limit(resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    tell(lambda: groups.add("team", "a"))
groups.close()
"""
    lines = run(script, path)
    for most in ("200,000", "1,000,000"):
        *told, last = lines[:5]
        for each in told:
            assert f"a file of this process may have no more than {most} bytes" in each
        assert last == "None"
        del lines[:5]
    assert sorted(each.name for each in path.parent.iterdir()) == ["groups.db", "groups.db.copy"]


@on_posix
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to know what memory is taken")
def test_memory_that_runs_out_is_told(path: Path) -> None:
    """No MemoryError comes bare, and the handle works when there is memory again."""
    script = """
groups.add("team", *[f"{n:0500}" for n in range(50_000)])
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit(resource.RLIMIT_AS, taken + 2_000_000)
tell(lambda: len(groups.topics("team")))
limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
tell(lambda: len(groups.topics("team")))
groups.close()
"""
    told, last = run(script, path)
    assert told == f"StorageFailed The database {str(path)!r} failed: memory ran out."
    assert last == "50000"


SHRINKING = """
import subprocess, sys
import beryl_groups
folder = sys.argv[1]
with beryl_groups.start(folder + "/groups.db") as groups:
    groups.create("team")
    subprocess.run(["mount", "-o", "remount,size=1m", folder], check=True)
    try:
        groups.add("team", *[f"{n:0500}" for n in range(20_000)])
    except beryl_groups.StorageFailed as error:
        print(error)
    subprocess.run(["mount", "-o", "remount,rw,size=100m", folder], check=True)
    groups.add("team", "kept")
    print(sorted(groups.topics("team")))
"""


@needs_mounts
def test_a_disk_that_fills_up_is_told(tmp_path: Path) -> None:
    """A real file system without room is named as that, and works again when it has some."""
    mounts = 'mount -t tmpfs -o size=100m none "$1"'
    told, last = python_with_mounts(SHRINKING, tmp_path, mounts=mounts).splitlines()
    assert "the disk is full" in told
    assert last == "['kept']"
