"""Through PgBouncer in transaction mode: each transaction may be on another connection."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Busy, Change, NotFound
from tests.postgresql import databases
from tests.postgresql.server import HOST, sql
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from beryl_groups.postgresql.connections import Connection

_SERVER_CONNECTIONS = 2
_CONFIGURATION = """
[databases]
* = host={host} port={server_port} user=postgres
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


@contextmanager
def pooler(folder: Path, server_port: int) -> Iterator[int]:
    """Give the port of a PgBouncer in front of a server."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("needs pgbouncer, a package of Debian")
    port = _free_port()
    file = folder / "pgbouncer.ini"
    file.write_text(
        _CONFIGURATION.format(
            host=HOST, server_port=server_port, port=port, connections=_SERVER_CONNECTIONS
        )
    )
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        file.chmod(0o644)
        owner = {"user": "nobody", "group": "nogroup", "extra_groups": ()}
    with file.open() as configuration:
        process = subprocess.Popen(
            [program, "-q", f"/dev/fd/{configuration.fileno()}"],
            pass_fds=[configuration.fileno()],
            stderr=subprocess.DEVNULL,
            **owner,
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while not _answers(port):
                assert process.poll() is None, "pgbouncer has ended"
                assert time.monotonic() < deadline, "pgbouncer does not listen"
                time.sleep(0.01)
            yield port
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[str]:
    """The URL, through a pooler, of a database of the test's own."""
    url = databases.make()
    there, _, name = url.rpartition("/")
    with pooler(tmp_path, int(there.rpartition(":")[2])) as port:
        yield f"{there.rpartition(':')[0]}:{port}/{name}"
    databases.drop(url)


def test_all_calls_work_through_a_pooler(pooled: str) -> None:
    """Nothing that a call needs is kept by a connection between two transactions."""
    with (
        beryl_groups.start(pooled, busy_timeout=PATIENCE) as groups,
        beryl_groups.start(pooled, busy_timeout=PATIENCE) as another,
        another.watch() as changes,
    ):
        groups.create("team")
        assert next(changes) == Change("created", "team")
        with pytest.raises(AlreadyExists):
            another.create("team")

        def add(thread: int) -> None:
            for number in range(10):
                (groups, another)[number % 2].add("team", f"{thread}:{number}")

        for each in [in_thread(partial(add, thread)) for thread in range(6)]:
            each.result(PATIENCE)
        assert len(groups.topics("team")) == 60
        groups.set_topics("team", ["a", "b"])
        groups.remove("team", "b", "c")
        groups.rename("team", "crew")
        with pytest.raises(NotFound):
            another.remove("team", "a")
        with groups.transaction() as transaction:
            transaction.add("crew", *[f"{number}" for number in range(20_000)])
            assert len(transaction.topics("crew")) == 20_001
        assert len(another.topics("crew")) == 20_001
        groups.delete("crew")
        assert list(another) == []


def test_a_pooler_s_connections_are_given_back_as_they_were(pooled: str) -> None:
    """No setting, prepared statement or lock is left for who has a connection next."""
    left = (
        "SELECT current_setting('lock_timeout'), current_setting('synchronous_commit'), "
        "current_setting('beryl_groups.held', true), "
        "(SELECT count(*) FROM pg_prepared_statements), "
        "(SELECT count(*) FROM pg_locks JOIN pg_database AS here ON here.oid = database "
        "WHERE locktype = 'advisory' AND datname = current_database())"
    )
    with beryl_groups.start(pooled, synchronous="normal") as groups:
        groups.create("team")
        groups.set_topics("team", ["a"])
        with pytest.raises(AlreadyExists):
            groups.rename("team", "team")
        for _ in range(2 * _SERVER_CONNECTIONS):
            ((timeout, commits, held, prepared, locks),) = sql(pooled, left)
            assert (timeout, commits, prepared, locks) == ("0", "on", 0, 0)
            assert not held


def test_a_neighbour_s_settings_matter_to_nobody(pooled: str) -> None:
    """What another client of the pooler has set for its session changes no promise of ours."""
    spoil = (
        "SET lock_timeout = '1ms'",
        "SET search_path = nowhere",
        "SET default_transaction_isolation = 'serializable'",
        "SET standard_conforming_strings = off",
    )
    with beryl_groups.start(pooled, busy_timeout=0.3) as groups:
        groups.create("team")
        for _ in range(2 * _SERVER_CONNECTIONS):
            sql(pooled, *spoil)
            groups.add("team", "a", "b\\'c")
        assert groups.topics("team") == {"a", "b\\'c"}
        with beryl_groups.start(pooled, busy_timeout=PATIENCE) as another, another.transaction():
            begin = time.monotonic()
            with pytest.raises(Busy):
                groups.add("team", "d")
            assert time.monotonic() - begin >= 0.3


def forget_all(connection: Connection) -> None:
    connection.run(("DEALLOCATE ALL", ()))


def test_what_is_forgotten_beside_us_is_said_again(database: str) -> None:
    """A pooler that looks like the server itself, but gives another connection, is found out."""
    with beryl_groups.start(database, pool_size=1) as groups:
        groups.add("team", "a", create=True)
        assert groups.topics("team") == {"a"}
        groups._engine.read(forget_all)
        assert groups.topics("team") == {"a"}
        groups.add("team", "b")
        with groups.transaction() as transaction:
            transaction.add("team", "c")
        assert groups.topics("team") == {"a", "b", "c"}
