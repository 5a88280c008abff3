"""Tasks that write at once share a commit, and nothing else: no error and no waiting."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Busy, Closed, NotFound, StorageFailed, aio
from tests.aio import loops
from tests.engines import SQLITE
from tests.processes import PATIENCE, shell
from tests.sqlite.test_commits import GivingUpError, broken_commits
from tests.sqlite.wal import commits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from beryl_groups.aio import AsyncGroups

    Call = Callable[[], Coroutine[Any, Any, object]]


async def call_together(groups: AsyncGroups, *calls: Call) -> list[asyncio.Task[object]]:
    """Have each call wait in a task of its own while a transaction is open, in this order."""
    async with groups.transaction():
        waiting = [asyncio.create_task(call()) for call in calls]
        await loops.until(lambda: loops.queued(groups) == len(calls))
    return waiting


def test_a_thousand_tasks_share_a_few_commits(path: Path) -> None:
    """1,000 tasks that add at once are done with one commit or a few, by one thread."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            before, threads = commits(path), threading.active_count()
            topics = [f"{number}" for number in range(1000)]
            await asyncio.gather(*(groups.add("group", topic) for topic in topics))
            assert commits(path) - before <= 3
            assert threading.active_count() <= threads + 1
            assert await groups.topics("group") == set(topics)

    asyncio.run(main())


def test_calls_that_do_not_wait_have_a_commit_each(path: Path) -> None:
    """A call has its commit before it returns: 16 calls of one task are 16 commits."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.count()
            before = commits(path)
            for number in range(16):
                await groups.create(f"{number}")
            assert commits(path) == before + 16

    asyncio.run(main())


def test_each_call_of_a_turn_has_its_own_error(database: str, engine: str, path: Path) -> None:
    """Of calls that are one turn, each succeeds or is refused as if it had been alone."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            before = commits(path)
            waiting = await call_together(
                groups,
                lambda: groups.create("won once"),
                lambda: groups.create("won once"),
                lambda: groups.add("missing", "a"),
                lambda: groups.add("group", "a"),
                lambda: groups.rename("group", "won once"),
                lambda: groups.rename("group", "crew"),
                lambda: groups.add("crew", "b"),
                lambda: groups.delete("missing"),
            )
            assert await loops.outcomes(*waiting) == [
                *[None, AlreadyExists, NotFound, None, AlreadyExists, None, None, NotFound]
            ]
            assert str(waiting[2].exception()) == "There is no group 'missing'."
            assert await groups.list_groups() == ["crew", "won once"]
            assert await groups.topics("crew") == {"a", "b"}
            assert commits(path) == before + (1 if engine == SQLITE else 0)

    asyncio.run(main())


def test_a_transaction_shares_its_commit_with_nobody(path: Path) -> None:
    """What waits before a transaction and what waits behind it are in commits of their own."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:

            async def transact() -> None:
                async with groups.transaction() as transaction:
                    assert await transaction.list_groups() == ["1", "2"]
                    await transaction.create("3")

            await groups.count()
            before = commits(path)
            waiting = await call_together(
                groups,
                lambda: groups.create("1"),
                lambda: groups.create("2"),
                transact,
                lambda: groups.create("4"),
                lambda: groups.create("5"),
            )
            assert await loops.outcomes(*waiting) == [None] * 5
            assert await groups.list_groups() == list("12345")
            assert commits(path) == before + 3

    asyncio.run(main())


@pytest.mark.usefixtures("triggers_run")
@pytest.mark.parametrize("action", ["ABORT", "FAIL", "ROLLBACK"])
@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_call_that_storage_refuses_fails_alone(path: Path, action: str, position: int) -> None:
    """Where storage fails one of the calls that wait, it leaves nothing, and the rest succeed."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            await groups.create("group")
            shell(
                path,
                "CREATE TRIGGER no_poison BEFORE INSERT ON group_topics WHEN new.topic = 'poison' "
                f"BEGIN SELECT RAISE({action}, 'poison'); END",
            )
            calls: list[Call] = [
                lambda: groups.add("group", "a"),
                lambda: groups.create("group"),
                lambda: groups.add("group", "d"),
            ]
            calls.insert(position, lambda: groups.add("group", "b", "poison", "c"))
            expected: list[type[Exception] | None] = [None, AlreadyExists, None]
            expected.insert(position, StorageFailed)
            waiting = await call_together(groups, *calls)
            assert await loops.outcomes(*waiting) == expected
            assert "poison" in str(waiting[position].exception())
            assert await groups.topics("group") == {"a", "d"}
            await groups.add("group", "afterwards")
            assert await groups.check() == []

    asyncio.run(main())


@pytest.mark.usefixtures("triggers_run")
def test_a_commit_that_fails_leaves_nothing_of_the_call_that_spoils_it(path: Path) -> None:
    """Where the commit itself fails, whose fault it is raises, and nothing of it is stored."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            with beryl_groups.start(path) as plain, broken_commits(path, plain):
                names = ("a", "poison", "b", "a")
                waiting = await call_together(
                    groups, *(lambda name=name: groups.create(name) for name in names)
                )
                expected = [None, StorageFailed, None, AlreadyExists]
                assert await loops.outcomes(*waiting) == expected
                assert await groups.list_groups() == ["a", "b"]
            assert await groups.list_groups() == ["a", "afterwards", "b"]

    asyncio.run(main())


def test_a_call_returns_after_its_commit(database: str) -> None:
    """Whenever a call has returned, another handle on the file sees what it wrote."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await groups.create("group")
            with beryl_groups.start(database) as other:

                async def add(topic: str) -> None:
                    await groups.add("group", topic)
                    assert topic in other.topics("group")

                for turn in range(10):
                    await asyncio.gather(*(add(f"{turn}:{number}") for number in range(20)))

    asyncio.run(main())


@pytest.mark.parametrize("gives_up", [False, True])
def test_calls_that_waited_too_long_leave_nothing(database: str, gives_up: bool) -> None:
    """Calls that a transaction keeps waiting are Busy after busy_timeout, and change nothing."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=0.2) as groups:

            async def transact() -> None:
                async with groups.transaction() as beside:
                    await beside.add("group", "beside")

            await groups.create("group")
            calls: list[Call] = [
                *[lambda: groups.add("group", "waits"), transact] * 2,
                lambda: groups.delete("group"),
            ]
            with suppress(GivingUpError):
                async with groups.transaction() as transaction:
                    await transaction.create("inside")
                    waiting = [asyncio.create_task(call()) for call in calls]
                    assert await loops.outcomes(*waiting) == [Busy] * len(calls)
                    await transaction.add("inside", "a")
                    if gives_up:
                        raise GivingUpError
            expected = ["group"] if gives_up else ["group", "inside"]
            assert await groups.list_groups() == expected
            assert await groups.topics("group") == frozenset()
            for call in calls:
                await call()

    asyncio.run(main())


def test_calls_that_another_process_keeps_waiting_are_busy(database: str) -> None:
    """Each after busy_timeout, those that share a turn too; they work once it lets go."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=0.2) as groups:
            await groups.create("group")
            with beryl_groups.start(database) as other, other.transaction() as transaction:
                waiting = [asyncio.create_task(groups.add("group", f"{n}")) for n in range(5)]
                await loops.until(lambda: loops.carried_out(groups) or waiting[0].done())
                waiting += [asyncio.create_task(groups.create(f"{n}")) for n in range(5)]
                assert await loops.outcomes(*waiting) == [Busy] * 10
                with pytest.raises(Busy):
                    async with groups.transaction():
                        pytest.fail("it was entered")
                transaction.add("group", "other")
            assert await groups.topics("group") == {"other"}
            await groups.create("afterwards")

    asyncio.run(main())


def test_a_close_refuses_those_that_wait(database: str, engine: str, path: Path) -> None:
    """A call that waits for its turn raises Closed; the transaction whose turn it is succeeds."""

    async def main() -> None:
        groups = await aio.start(database, busy_timeout=PATIENCE)
        await groups.create("group")
        delivered: list[str] = []
        async with groups.transaction() as transaction:
            await transaction.add("group", "before")
            waiting = [asyncio.create_task(groups.add("group", f"{n}")) for n in range(3)]
            waiting.append(asyncio.create_task(groups.transaction().__aenter__()))  # type: ignore[arg-type]
            await loops.until(lambda: loops.queued(groups) == 4)
            await groups.close()
            await groups.close()
            assert await loops.outcomes(*waiting) == [Closed] * 4
            await transaction.add("group", "after")
            await transaction.broadcast(lambda topic, *_: delivered.append(topic), "group", "e", 1)
        assert delivered == ["after", "before"]
        with pytest.raises(Closed):
            await groups.topics("group")

    asyncio.run(main())
    left = [each.name for each in path.parent.iterdir()]
    assert left == (["groups.db"] if engine == SQLITE else [])
    with beryl_groups.start(database) as plain:
        assert plain.topics("group") == {"before", "after"}


def test_a_close_lets_what_is_carried_out_end(database: str) -> None:
    """A call that the thread has begun with is stored, and close() returns after it."""

    async def main() -> None:
        groups = await aio.start(database, busy_timeout=PATIENCE)
        await groups.create("group")
        with beryl_groups.start(database) as other:
            with other.transaction():
                begun = asyncio.create_task(groups.add("group", "a"))
                await loops.until(lambda: loops.carried_out(groups))
                closing = asyncio.create_task(groups.close())
                await loops.until(lambda: repr(groups).endswith("closed>"))
                with pytest.raises(Closed):
                    await groups.exists("group")
                assert not begun.done()
            await asyncio.gather(closing, groups.close())
            assert begun.done()
            await begun
            assert other.topics("group") == {"a"}

    asyncio.run(main())
