"""The connections of a handle: few, found again when they are lost, and nobody's but its own."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Busy, Closed, NotFound, OutcomeUnknown, StorageFailed, aio, operations
from beryl_groups.calls import Call
from tests.contract.copies import contents
from tests.postgresql.server import sql
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from tests.postgresql.proxy import Moment, Proxy

_OTHERS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'beryl_groups'"
)


def connected(url: str) -> int:
    ((number,),) = sql(url, f"SELECT count(*) {_OTHERS}")
    return int(number)


def end_connections(url: str) -> None:
    sql(url, f"SELECT pg_terminate_backend(pid) {_OTHERS}")


def waiting(url: str) -> int:
    ((number,),) = sql(url, f"SELECT count(*) {_OTHERS} AND wait_event_type = 'Lock'")
    return int(number)


def wait_for_waiting(url: str, number: int) -> None:
    while waiting(url) < number:
        pass


@pytest.mark.parametrize("size", [1, 3])
def test_a_handle_has_no_more_connections_than_it_may(database: str, size: int) -> None:
    """However many threads call at once: the others wait for a connection that is free."""
    most = 0
    with beryl_groups.start(database, pool_size=size, busy_timeout=PATIENCE) as groups:
        groups.create("team")

        def call(thread: int) -> None:
            for number in range(20):
                groups.add("team", f"{thread}:{number}")
                groups.topics("team")

        calls = [in_thread(partial(call, thread)) for thread in range(8)]
        while not all(each.done() for each in calls):
            most = max(most, connected(database))
        for each in calls:
            each.result(PATIENCE)
        assert len(groups.topics("team")) == 160
    assert 0 < most <= size


def test_who_reads_waits_for_no_writer(database: str) -> None:
    """Even where more write than there are connections, and all wait for somebody's transaction."""
    with (
        beryl_groups.start(database, busy_timeout=PATIENCE) as other,
        beryl_groups.start(database, pool_size=3, busy_timeout=PATIENCE) as groups,
    ):
        groups.create("team")
        with other.transaction():
            writers = [in_thread(partial(groups.add, "team", f"{number}")) for number in range(6)]
            wait_for_waiting(database, 2)
            assert groups.topics("team") == frozenset()
        for each in writers:
            each.result(PATIENCE)
        assert len(groups.topics("team")) == 6


def test_who_finds_no_free_connection_is_told(database: str) -> None:
    """It waits for busy_timeout and no longer."""
    with (
        beryl_groups.start(database, pool_size=1, busy_timeout=0.1) as groups,
        groups.transaction() as transaction,
    ):
        transaction.create("team")
        with pytest.raises(Busy, match=r"All connections of this handle .* longer than 0\.1 s"):
            groups.topics("team")


def test_connections_that_the_server_ended_are_replaced(database: str) -> None:
    """What reads and what writes goes on as if nothing had been."""
    with beryl_groups.start(database) as groups:
        groups.create("team")
        for number in range(3):
            end_connections(database)
            groups.add("team", f"{number}")
            end_connections(database)
            assert len(groups.topics("team")) == number + 1
            end_connections(database)
            with groups.transaction() as transaction:
                transaction.create(f"team {number}")
        assert len(groups) == 4


def test_a_transaction_whose_connection_broke_lands_nothing(database: str, proxy: Proxy) -> None:
    """The block raises, and the next one works."""
    with beryl_groups.start(proxy.url(database)) as groups:
        groups.create("team")

        def broken() -> None:
            with groups.transaction() as transaction:
                transaction.add("team", "a")
                proxy.cut()
                transaction.add("team", "b")

        with pytest.raises(StorageFailed) as failed:
            broken()
        assert not isinstance(failed.value, OutcomeUnknown)
        assert groups.topics("team") == frozenset()
        with groups.transaction() as transaction:
            transaction.add("team", "c")
        assert groups.topics("team") == {"c"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_without_an_answer_is_told_as_unknown(
    database: str, proxy: Proxy, moment: Moment
) -> None:
    """A call and a transaction: it may be stored, and it is not repeated."""
    with beryl_groups.start(proxy.url(database)) as groups:
        groups.create("team")
        groups.add("team", "a")
        proxy.cut_at("the needle", moment)
        with pytest.raises(OutcomeUnknown, match="whether this call is stored is unknown"):
            groups.add("team", "the needle")
        stored = {"the needle"} if moment == "after" else set()
        assert groups.topics("team") == {"a"} | stored

        def transact() -> None:
            with groups.transaction() as transaction:
                transaction.create("crew")
                proxy.cut_at("", moment)

        with pytest.raises(OutcomeUnknown):
            transact()
        assert ("crew" in groups) == (moment == "after")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_leaves_the_connections_to_the_parent(database: str) -> None:
    """In the child the handle is refused, and its end is not that of the parent's connections."""
    with beryl_groups.start(database, busy_timeout=PATIENCE) as groups:
        groups.create("team")
        with groups.transaction() as transaction:
            transaction.add("team", "of the parent")
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    groups.close()
                    with pytest.raises(Closed, match="forked"):
                        groups.topics("team")
                    with beryl_groups.start(database) as own:
                        own.topics("team")
                    os.write(writer, b"sound")
                finally:
                    os._exit(0)
            os.close(writer)
            with os.fdopen(reader, "rb") as pipe:
                assert pipe.read() == b"sound"
            os.waitpid(pid, 0)
        assert contents(groups) == {"team": {"of the parent"}}
        number = connected(database)
        groups.add("team", "later")
        assert connected(database) == number


def test_the_number_of_connections_is_checked(database: str) -> None:
    """It is a whole number, 1 or more, and nothing that a file has."""
    with pytest.raises(ValueError, match="1 or more, not 0"):
        beryl_groups.start(database, pool_size=0)
    with pytest.raises(TypeError, match="whole number"):
        beryl_groups.start(database, pool_size="3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a file needs no pool"):
        beryl_groups.start(":memory:", pool_size=3)


def test_a_call_that_fails_takes_no_other_along(database: str) -> None:
    """Whatever fails: of those that are carried out beside it none is carried out once more."""
    with beryl_groups.start(database) as groups:
        groups.create("kept")
        calls: list[Call[None]] = [
            Call(PATIENCE, operations.create, ("team", False)),
            Call(PATIENCE, operations.add, ("kept", [object(), object()])),
        ]
        groups._engine.write_all(calls, PATIENCE)
        calls[0].outcome()
        with pytest.raises(TypeError):
            calls[1].outcome()
        assert contents(groups) == {"kept": frozenset(), "team": frozenset()}


def test_calls_made_at_once_for_a_group_take_effect_in_their_order(database: str) -> None:
    """Many tasks write beside each other, but what speaks of the same group comes in turn."""

    async def main() -> None:
        async with aio.start(database) as groups:
            for number in range(5):
                a, b = f"a{number}", f"b{number}"
                ended = await asyncio.gather(
                    groups.create(a),
                    groups.add(a, "1"),
                    groups.create(b),
                    groups.delete(b),
                    groups.rename(a, b),
                    groups.add(a, "2"),
                    groups.set_topics(b, ["3"]),
                    groups.add(b, "4"),
                    groups.remove(b, "3"),
                    return_exceptions=True,
                )
                assert [type(each) for each in ended if each is not None] == [NotFound]
                assert isinstance(ended[5], NotFound)
                assert await groups.topics(b) == {"4"}

    asyncio.run(main())
