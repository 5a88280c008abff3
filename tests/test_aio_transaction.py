"""Async transactions: all of it or nothing, whose writes wait for whose, and no deadlock."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Closed, GroupError, NotFound, StorageFailed, aio
from tests import loops
from tests.processes import PATIENCE, in_thread, shell, together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups


async def make_team(groups: AsyncGroups) -> None:
    await groups.create("team")
    await groups.add("team", "a", "b")


def test_all_that_a_transaction_wrote_lands_together(path: Path) -> None:
    """Each writing method takes part, and reads inside see the writes so far."""

    async def main() -> None:
        async with aio.start(path) as groups:
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
def test_a_transaction_that_raises_leaves_nothing(path: Path, kind: type[BaseException]) -> None:
    """Whatever it raised; that error reaches the caller itself, and the next write works."""

    async def main() -> None:
        async with aio.start(path) as groups:
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


def test_an_interrupt_in_a_block_leaves_nothing(path: Path) -> None:
    """KeyboardInterrupt passes through, and what it left behind keeps nobody waiting."""

    async def transact(groups: AsyncGroups) -> None:
        async with groups.transaction() as transaction:
            await transaction.create("new")
            raise KeyboardInterrupt

    async def main() -> None:
        async with aio.start(path) as groups:
            await make_team(groups)
            await transact(groups)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    with beryl_groups.start(path, busy_timeout=PATIENCE) as plain:
        plain.create("afterwards")
        assert plain.list_groups() == ["afterwards", "team"]


WRITES: list[Callable[[AsyncGroups], Awaitable[object]]] = [
    lambda groups: groups.create("x"),
    lambda groups: groups.delete("team"),
    lambda groups: groups.rename("team", "x"),
    lambda groups: groups.add("team", "c"),
    lambda groups: groups.remove("team", "a"),
    lambda groups: groups.set_topics("team", []),
    lambda groups: groups.transaction().__aenter__(),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_beside_the_own_transaction_is_refused_at_once(
    path: Path, write: Callable[[AsyncGroups], Awaitable[object]]
) -> None:
    """It would wait for itself; the transaction goes on as if nothing had been asked."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            await make_team(groups)
            async with groups.transaction() as transaction:
                await transaction.add("team", "mine")
                with pytest.raises(GroupError, match="This task has a transaction open"):
                    await write(groups)
            assert await groups.topics("team") == {"a", "b", "mine"}
            await groups.create("y")

    asyncio.run(main())


def test_writes_of_other_tasks_wait_for_the_end(path: Path) -> None:
    """They are neither refused nor mixed in, and reads do not wait."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            await make_team(groups)
            async with groups.transaction() as transaction:
                waiting = asyncio.create_task(groups.add("team", "from another task"))
                await transaction.add("team", "c")
                reading = asyncio.create_task(groups.topics("team"))
                assert await reading == {"a", "b"}
                assert not waiting.done()
            await waiting
            assert await groups.topics("team") == {"a", "b", "c", "from another task"}

    asyncio.run(main())


def test_tasks_may_share_a_transaction(path: Path) -> None:
    """Calls of several tasks on one transaction follow one another, and all of them land."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await make_team(groups)
            async with groups.transaction() as transaction:
                await asyncio.gather(*(transaction.create(f"{number}") for number in range(20)))
            assert await groups.count() == 21

    asyncio.run(main())


def test_a_refused_call_spoils_nothing(path: Path) -> None:
    """`AlreadyExists` and its like may be caught inside, and the rest lands."""

    async def main() -> None:
        async with aio.start(path) as groups:
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


def test_a_transaction_is_closed_after_its_block(path: Path) -> None:
    """Its object is refused then, however the block ended."""

    async def main() -> None:
        async with aio.start(path) as groups:
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


async def increase(groups: AsyncGroups) -> None:
    async with groups.transaction() as transaction:
        (number,) = await transaction.topics("counter")
        await asyncio.sleep(0)
        await transaction.set_topics("counter", [str(int(number) + 1)])


def test_many_tasks_in_turn_each_have_their_transaction(path: Path) -> None:
    """200 transactions that wait for one another hang on no thread; their sum is exact."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE, synchronous="normal") as groups:
            await groups.create("counter")
            await groups.add("counter", "0")
            reads = (groups.topics("counter") for _ in range(100))
            await asyncio.gather(*(increase(groups) for _ in range(200)), *reads)
            assert await groups.topics("counter") == {"200"}

    asyncio.run(main())


def test_async_and_plain_handles_on_one_file_take_turns(path: Path) -> None:
    """Tasks of two loops and threads with transactions on one file all have theirs."""

    async def tasks(database: Path) -> None:
        async with aio.start(database, busy_timeout=PATIENCE, synchronous="normal") as groups:
            await asyncio.gather(*(increase(groups) for _ in range(20)))

    def threads(database: Path) -> None:
        with beryl_groups.start(database, busy_timeout=PATIENCE, synchronous="normal") as groups:
            for _ in range(20):
                with groups.transaction() as transaction:
                    (number,) = transaction.topics("counter")
                    transaction.set_topics("counter", [str(int(number) + 1)])

    with beryl_groups.start(path) as plain:
        plain.create("counter")
        plain.add("counter", "0")
        in_loops = [lambda: asyncio.run(tasks(path))] * 2
        together(*in_loops, *[partial(threads, path)] * 2)
        assert plain.topics("counter") == {"80"}


def test_a_default_pool_that_is_full_keeps_nobody_waiting(path: Path) -> None:
    """Writes, transactions and reads go on while all threads of the loop's own pool wait."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            released = asyncio.Event()

            def wait_for_the_loop() -> None:
                asyncio.run_coroutine_threadsafe(released.wait(), loop).result(PATIENCE)

            full = [loop.run_in_executor(None, wait_for_the_loop) for _ in range(100)]
            await make_team(groups)
            async with groups.transaction() as transaction:
                await transaction.add("team", "c")
            assert await groups.groups_of("c") == ["team"]
            assert await groups.check() == []
            await groups.backup(path.with_name("copy.db"))
            released.set()
            await asyncio.gather(*full)

    asyncio.run(main())


def test_a_block_that_is_dropped_half_way_keeps_nobody_waiting(path: Path) -> None:
    """A coroutine that is closed inside of its block is undone, and the next write works."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=PATIENCE) as groups:
            await make_team(groups)

            async def transact(inside: asyncio.Event) -> None:
                async with groups.transaction() as transaction:
                    await transaction.create("new")
                    inside.set()
                    await asyncio.Event().wait()

            inside = asyncio.Event()
            coroutine = transact(inside)
            steps = coroutine.__await__()
            while True:
                waited_for: Any = next(steps)
                if inside.is_set():
                    break
                waited_for._asyncio_future_blocking = False
                await waited_for
            coroutine.close()
            await groups.create("afterwards")
            assert await groups.list_groups() == ["afterwards", "team"]

    asyncio.run(main())


def test_deliveries_come_after_the_commit_in_the_order_of_the_calls(path: Path) -> None:
    """To the topics as they stood at the call, with the handle free to write."""

    async def main() -> None:
        async with aio.start(path) as groups:
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


def test_transactions_of_threads_wait_for_those_of_tasks(path: Path) -> None:
    """A plain handle in a thread waits until the block of a task has ended."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await make_team(groups)
            with beryl_groups.start(path, busy_timeout=PATIENCE) as plain:
                async with groups.transaction() as transaction:
                    await transaction.add("team", "c")
                    writing = in_thread(lambda: plain.add("team", "d"))
                    await loops.until(lambda: plain._store._writer._leader is not None)
                    assert not writing.done()
                await asyncio.wrap_future(writing)
            assert await groups.topics("team") == set("abcd")

    asyncio.run(main())
