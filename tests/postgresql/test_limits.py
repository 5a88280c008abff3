"""What a server refuses: a sentence of this package, nothing of the call stored, and it goes on."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest

import beryl_groups
from beryl_groups import Busy, StartFailed, StorageFailed
from beryl_groups.postgresql import errors
from tests.contract.copies import contents
from tests.postgresql.roles import PASSWORD, role
from tests.postgresql.server import sql
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator


def configure(url: str, setting: str) -> None:
    """Have every later connection to this database begin with a setting."""
    sql(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET {setting}")


@contextmanager
def locked(url: str, table: str = "groups") -> Iterator[None]:
    """Have somebody else's program hold a table."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as link:
        link.execute(f"LOCK TABLE beryl_groups.{table} IN ACCESS EXCLUSIVE MODE")
        yield
        link.rollback()


def fill(url: str) -> None:
    with beryl_groups.start(url) as groups:
        groups.add("kept", "a", create=True)


@pytest.mark.parametrize("setting", ["lock_timeout = '1ms'", "lock_timeout = '1h'"])
def test_a_lock_timeout_of_the_server_does_not_matter(empty_database: str, setting: str) -> None:
    """A call waits for busy_timeout, be that longer or shorter than what the server has set."""
    configure(empty_database, setting)
    fill(empty_database)
    with beryl_groups.start(empty_database, busy_timeout=0.2) as groups:
        with locked(empty_database), pytest.raises(Busy, match=r"for longer than 0\.2 s"):
            groups.add("kept", "b")
        groups.add("kept", "c")
        assert groups.topics("kept") == {"a", "c"}
    with beryl_groups.start(empty_database, busy_timeout=PATIENCE) as groups:
        with locked(empty_database):
            waiting = in_thread(lambda: groups.add("kept", "d"))
            with pytest.raises(TimeoutError):
                waiting.result(0.1)
        waiting.result(PATIENCE)


@pytest.mark.parametrize("setting", ["lock_timeout = '1ms'", "lock_timeout = '1h'"])
def test_a_read_waits_as_long_for_who_alters_a_table(empty_database: str, setting: str) -> None:
    """As it does for nobody else."""
    configure(empty_database, setting)
    fill(empty_database)
    with beryl_groups.start(empty_database, busy_timeout=0.2) as groups, locked(empty_database):
        for read in (groups.check, lambda: "kept" in groups, lambda: groups.topics("kept")):
            with pytest.raises(Busy, match=r"for longer than 0\.2 s"):
                read()
    with beryl_groups.start(empty_database, busy_timeout=PATIENCE) as groups:
        with locked(empty_database):
            waiting = in_thread(lambda: groups.topics("kept"))
            with pytest.raises(TimeoutError):
                waiting.result(0.1)
        assert waiting.result(PATIENCE) == {"a"}


def test_a_statement_timeout_of_the_server_is_told(empty_database: str) -> None:
    """A call that takes longer than the server lets one take is refused in words."""
    fill(empty_database)
    configure(empty_database, "statement_timeout = '200ms'")
    with beryl_groups.start(empty_database, busy_timeout=PATIENCE) as groups:
        with locked(empty_database), pytest.raises(StorageFailed, match="statement_timeout"):
            groups.topics("kept")
        groups.add("kept", "b")
        assert groups.topics("kept") == {"a", "b"}


def test_a_transaction_that_waits_for_another_program_says_so(database: str) -> None:
    """And does not take itself for the one that it waited for."""
    fill(database)
    with beryl_groups.start(database, busy_timeout=0.1) as groups:
        with (
            locked(database),
            pytest.raises(Busy, match="Another writer"),
            groups.transaction() as block,
        ):
            block.create("new")
        assert list(groups) == ["kept"]


def test_what_a_server_answers_is_not_told_as_its_absence() -> None:
    """Whatever it is that it answers, such as that it has found a deadlock."""
    answers = [each for each in vars(psycopg.errors).values() if getattr(each, "sqlstate", None)]
    assert psycopg.errors.DeadlockDetected in answers
    told = {errors.reason(answer("it says so")) for answer in answers}
    assert not [each for each in told if each.startswith("no connection")]


def pass_over(groups: beryl_groups.Groups, url: str) -> None:
    with groups.transaction() as block:
        block.create("new")
        with locked(url, "group_topics"), pytest.raises(StorageFailed):
            block.topics("kept")


def test_a_read_that_fails_in_a_transaction_is_not_passed_over(empty_database: str) -> None:
    """Where the block goes on all the same, its end raises, for nothing of it is stored."""
    fill(empty_database)
    configure(empty_database, "statement_timeout = '100ms'")
    with beryl_groups.start(empty_database) as groups:
        with pytest.raises(StorageFailed, match="failed before"):
            pass_over(groups, empty_database)
        assert list(groups) == ["kept"]


def idle(groups: beryl_groups.Groups) -> None:
    with groups.transaction() as transaction:
        transaction.add("kept", "b")
        threading.Event().wait(0.3)
        transaction.add("kept", "c")


def test_a_transaction_that_idles_too_long_for_the_server_is_told(empty_database: str) -> None:
    """The block raises in words, nothing of it has landed, and the handle goes on."""
    fill(empty_database)
    configure(empty_database, "idle_in_transaction_session_timeout = '50ms'")
    with beryl_groups.start(empty_database) as groups:
        with pytest.raises(StorageFailed, match="idle_in_transaction_session_timeout"):
            idle(groups)
        assert groups.topics("kept") == {"a"}
        groups.add("kept", "d")


def test_a_server_that_may_only_be_read_is_read(empty_database: str) -> None:
    """As a standby: what reads works, and a write is refused in words."""
    fill(empty_database)
    configure(empty_database, "default_transaction_read_only = on")
    with beryl_groups.start(empty_database) as groups:
        assert contents(groups) == {"kept": {"a"}}
        with pytest.raises(StorageFailed, match="read"):
            groups.add("kept", "b")
        with pytest.raises(StorageFailed, match="read"):
            groups.set_topics("kept", [])
        with pytest.raises(StorageFailed, match="read"), groups.transaction() as transaction:
            transaction.create("new")
        assert contents(groups) == {"kept": {"a"}}


def test_too_many_connections_are_told(database: str) -> None:
    """start() names the reason; a handle makes do with the connections that it gets."""
    fill(database)
    with role(database, options="CONNECTION LIMIT 2") as url:
        sql(
            database,
            f"GRANT ALL ON SCHEMA beryl_groups TO role_of_{database.rpartition('/')[2]}",
            "GRANT ALL ON ALL TABLES IN SCHEMA beryl_groups "
            f"TO role_of_{database.rpartition('/')[2]}",
        )
        with beryl_groups.start(url, busy_timeout=PATIENCE) as groups:

            def add(thread: int) -> None:
                for number in range(5):
                    groups.add("kept", f"{thread}:{number}")

            for each in [in_thread(partial(add, thread)) for thread in range(8)]:
                each.result(PATIENCE)
            assert len(groups.topics("kept")) == 41
            with (
                groups.transaction(),
                groups.watch(),
                pytest.raises(StartFailed, match="too many connections") as refused,
            ):
                beryl_groups.start(url)
            assert PASSWORD not in str(refused.value)
