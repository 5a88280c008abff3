"""Async transactions: all of it or nothing, whose writes wait for whose, and no deadlock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Closed, NotFound, StorageFailed, aio
from tests.processes import PATIENCE, shell
from tests.sqlite.store import store

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups


async def make_team(groups: AsyncGroups) -> None:
    await groups.create("team")
    await groups.add("team", "a", "b")


def test_all_that_a_transaction_wrote_lands_together(database: str) -> None:
    """Each writing method takes part, and reads inside see the writes so far."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await make_team(groups)
            async with groups.transaction() as transaction:
                await transaction.create("new")
                await transaction.add("new", "x", "y", "z")
                await transaction.remove("new", "y")
                await transaction.rename("team", "crew")
                await transaction.set_topics("crew", ["c"])
                await transaction.create("gone")
                await transaction.delete("gone")
                assert [name async for name in transaction] == ["crew", "new"]
                assert await transaction.topics("new") == {"x", "z"}
                assert await transaction.groups_of("c") == ["crew"]
                assert await transaction.list_groups("n") == ["new"]
                assert await transaction.exists("new")
                assert not await transaction.exists("team")
                assert await transaction.count() == 2
                assert await groups.list_groups() == ["team"]
            assert await groups.list_groups() == ["crew", "new"]
            assert await groups.topics("crew") == {"c"}

    asyncio.run(main())


@pytest.mark.parametrize("kind", [ValueError, NotFound, asyncio.CancelledError, StorageFailed])
def test_a_transaction_that_raises_leaves_nothing(database: str, kind: type[BaseException]) -> None:
    """Whatever it raised; that error reaches the caller itself, and the next write works."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await make_team(groups)
            error = kind("on purpose")

            async def transact() -> None:
                async with groups.transaction() as transaction:
                    await transaction.create("new")
                    await transaction.broadcast(pytest.fail, "team", "e", None)  # type: ignore[arg-type]
                    await transaction.delete("team")
                    raise error

            for _ in range(3):
                with pytest.raises(kind) as raised:
                    await transact()
                assert raised.value is error
                await groups.add("team", "c")
                assert await groups.list_groups() == ["team"]

    asyncio.run(main())


def test_an_interrupt_in_a_block_leaves_nothing(database: str) -> None:
    """KeyboardInterrupt passes through, and what it left behind keeps nobody waiting."""

    async def transact(groups: AsyncGroups) -> None:
        async with groups.transaction() as transaction:
            await transaction.create("new")
            raise KeyboardInterrupt

    async def main() -> None:
        async with aio.start(database) as groups:
            await make_team(groups)
            await transact(groups)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    with beryl_groups.start(database, busy_timeout=PATIENCE) as plain:
        plain.create("afterwards")
        assert plain.list_groups() == ["afterwards", "team"]


def test_tasks_may_share_a_transaction(database: str) -> None:
    """Calls of several tasks on one transaction follow one another, and all of them land."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await make_team(groups)
            async with groups.transaction() as transaction:
                await asyncio.gather(*(transaction.create(f"{number}") for number in range(20)))
            assert await groups.count() == 21

    asyncio.run(main())


def test_a_refused_call_spoils_nothing(database: str) -> None:
    """`AlreadyExists` and its like may be caught inside, and the rest lands."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await make_team(groups)
            async with groups.transaction() as transaction:
                await transaction.create("new")
                with pytest.raises(AlreadyExists):
                    await transaction.create("new")
                with pytest.raises(NotFound):
                    await transaction.add("nobody", "a")
                await transaction.add("new", "a")
            assert await groups.topics("new") == {"a"}

    asyncio.run(main())


@pytest.mark.usefixtures("triggers_run")
def test_a_call_that_failed_half_way_spoils_the_transaction(path: Path) -> None:
    """A storage failure inside cannot be caught and committed around: nothing lands."""

    async def transact(groups: AsyncGroups) -> None:
        async with groups.transaction() as transaction:
            await transaction.create("new")
            with pytest.raises(StorageFailed, match="stopped"):
                await transaction.add("team", "start", "stop")

    async def main() -> None:
        async with aio.start(path) as groups:
            await make_team(groups)
            shell(
                path,
                "CREATE TRIGGER stop BEFORE INSERT ON group_topics WHEN new.topic = 'stop' "
                "BEGIN SELECT RAISE(FAIL, 'stopped'); END",
            )
            with pytest.raises(StorageFailed, match="half way"):
                await transact(groups)
            assert await groups.topics("team") == {"a", "b"}
            assert not await groups.exists("new")
            await groups.add("team", "start")

    asyncio.run(main())


def test_a_transaction_is_closed_after_its_block(database: str) -> None:
    """Its object is refused then, however the block ended."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await make_team(groups)
            async with groups.transaction() as ended:
                pass
            with pytest.raises(ZeroDivisionError):
                async with groups.transaction() as raised:
                    raise ZeroDivisionError
            for transaction in (ended, raised):
                with pytest.raises(Closed, match="is over"):
                    await transaction.create("late")
                with pytest.raises(Closed, match="is over"):
                    await transaction.topics("team")
                with pytest.raises(Closed, match="is over"):
                    await transaction.broadcast(print, "team", "e", None)
            assert await groups.list_groups() == ["team"]

    asyncio.run(main())


def test_deliveries_come_after_the_commit_in_the_order_of_the_calls(database: str) -> None:
    """To the topics as they stood at the call, with the handle free to write."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await make_team(groups)
            got: list[tuple[str, str]] = []

            async def send(topic: str, event: str, payload: object) -> None:
                assert await groups.exists("new")
                await groups.add("new", f"{event}:{topic}")
                got.append((event, topic))

            async with groups.transaction() as transaction:
                await transaction.create("new")
                await transaction.broadcast(send, "team", "first", None)
                await transaction.add("team", "c")
                await transaction.broadcast(send, "team", "second", None, exclude=["a"])
                assert got == []
            assert got == [("first", "a"), ("first", "b"), ("second", "b"), ("second", "c")]
            assert len(await groups.topics("new")) == 4

    asyncio.run(main())


def test_a_transaction_waits_for_a_fork_of_its_loops_thread(path: Path) -> None:
    """What that thread holds for the moment of a fork is no transaction that it has open."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            await make_team(groups)

            async def add() -> None:
                async with groups.transaction() as transaction:
                    await transaction.add("team", "c")

            with store(groups).paused():
                adding = asyncio.create_task(add())
                while not store(groups)._writer._queue:
                    await asyncio.sleep(0.001)
                    assert not adding.done()
            await adding
            assert await groups.topics("team") == {"a", "b", "c"}

    asyncio.run(main())
