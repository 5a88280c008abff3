"""Whose writes wait for whose transaction, in tasks, loops and threads; and no deadlock."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import GroupError, aio
from tests.aio import loops
from tests.aio.test_transaction import make_team
from tests.processes import PATIENCE, in_thread, together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups


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
    database: str, write: Callable[[AsyncGroups], Awaitable[object]]
) -> None:
    """It would wait for itself; the transaction goes on as if nothing had been asked."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await make_team(groups)
            async with groups.transaction() as transaction:
                await transaction.add("team", "mine")
                with pytest.raises(GroupError, match="This task has a transaction open"):
                    await write(groups)
            assert await groups.topics("team") == {"a", "b", "mine"}
            await groups.create("y")

    asyncio.run(main())


def test_writes_of_other_tasks_wait_for_the_end(database: str) -> None:
    """They are neither refused nor mixed in, and reads do not wait."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
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


async def increase(groups: AsyncGroups) -> None:
    async with groups.transaction() as transaction:
        (number,) = await transaction.topics("counter")
        await asyncio.sleep(0)
        await transaction.set_topics("counter", [str(int(number) + 1)])


def test_many_tasks_in_turn_each_have_their_transaction(
    database: str, times: Callable[[int, int], int]
) -> None:
    """200 transactions that wait for one another hang on no thread; their sum is exact."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE, synchronous="normal") as groups:
            await groups.create("counter")
            await groups.add("counter", "0")
            number = times(200, 30)
            reads = (groups.topics("counter") for _ in range(number // 2))
            await asyncio.gather(*(increase(groups) for _ in range(number)), *reads)
            assert await groups.topics("counter") == {str(number)}

    asyncio.run(main())


def test_async_and_plain_handles_on_one_database_take_turns(
    database: str, times: Callable[[int, int], int]
) -> None:
    """Tasks of two loops and threads with transactions on one database all have theirs."""
    each = times(20, 5)

    async def tasks(database: str) -> None:
        async with aio.start(database, busy_timeout=PATIENCE, synchronous="normal") as groups:
            await asyncio.gather(*(increase(groups) for _ in range(each)))

    def threads(database: str) -> None:
        with beryl_groups.start(database, busy_timeout=PATIENCE, synchronous="normal") as groups:
            for _ in range(each):
                with groups.transaction() as transaction:
                    (number,) = transaction.topics("counter")
                    transaction.set_topics("counter", [str(int(number) + 1)])

    with beryl_groups.start(database) as plain:
        plain.create("counter")
        plain.add("counter", "0")
        in_loops = [lambda: asyncio.run(tasks(database))] * 2
        together(*in_loops, *[partial(threads, database)] * 2)
        assert plain.topics("counter") == {str(4 * each)}


def test_a_default_pool_that_is_full_keeps_nobody_waiting(database: str, path: Path) -> None:
    """Writes, transactions and reads go on while all threads of the loop's own pool wait."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
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


def test_a_block_that_is_dropped_half_way_keeps_nobody_waiting(database: str) -> None:
    """A coroutine that is closed inside of its block is undone, and the next write works."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
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


def test_transactions_of_threads_wait_for_those_of_tasks(database: str) -> None:
    """A plain handle in a thread waits until the block of a task has ended."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await make_team(groups)
            with beryl_groups.start(database, busy_timeout=PATIENCE) as plain:
                async with groups.transaction() as transaction:
                    await transaction.add("team", "c")
                    writing = in_thread(lambda: plain.add("team", "d"))
                    await loops.until(lambda: loops.writes(plain._engine))
                    assert not writing.done()
                await asyncio.wrap_future(writing)
            assert await groups.topics("team") == set("abcd")

    asyncio.run(main())
