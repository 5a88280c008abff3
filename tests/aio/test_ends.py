"""The end of an async handle, of its event loop and of its program, in good order and in bad."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Closed, GroupError, StartFailed, aio
from tests.engines import SQLITE
from tests.processes import PATIENCE, Fork, open_files, opened_since, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.aio import AsyncGroups

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
beside_threads = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


async def transact(groups: AsyncGroups) -> None:
    async with groups.transaction() as transaction:
        await transaction.create("new")


CALLS: dict[str, Callable[[Any], Any]] = {
    "create": lambda groups: groups.create("new"),
    "delete": lambda groups: groups.delete("group"),
    "rename": lambda groups: groups.rename("group", "new"),
    "add": lambda groups: groups.add("group", "b"),
    "remove": lambda groups: groups.remove("group", "a"),
    "set_topics": lambda groups: groups.set_topics("group", ["b"]),
    "topics": lambda groups: groups.topics("group"),
    "list_groups": lambda groups: groups.list_groups(),
    "groups_of": lambda groups: groups.groups_of("a"),
    "exists": lambda groups: groups.exists("group"),
    "count": lambda groups: groups.count(),
    "async for": lambda groups: anext(aiter(groups)),
    "broadcast": lambda groups: groups.broadcast(print, "group", "event", None),
    "transaction": transact,
    "backup": lambda groups: groups.backup("a copy that is never made"),
    "restore": lambda groups: groups.restore("a backup that is never read"),
    "check": lambda groups: groups.check(),
    "watch": lambda groups: groups.watch(),
}


@pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))
def test_a_closed_handle_refuses_every_call(database: str, call: Callable[[Any], Any]) -> None:
    """Each method of a closed handle raises Closed with a sentence that says what to do."""

    async def main() -> None:
        groups = await aio.start(database)
        await groups.close()
        await groups.close()
        with pytest.raises(Closed, match=r"has been closed: open it again with start\(\)\.$"):
            await call(groups)

    asyncio.run(main())


def test_a_forgotten_handle_warns_and_closes(database: str) -> None:
    """One that nobody holds any more gives a ResourceWarning and leaves nothing behind."""

    async def main() -> None:
        groups = await aio.start(database)
        await groups.create("group")
        await groups.topics("group")
        async with groups.transaction() as transaction:
            await transaction.add("group", "a")

    before, threads = open_files(), threading.active_count()

    def forget() -> None:
        asyncio.run(main())
        gc.collect()

    with pytest.warns(ResourceWarning, match=r"<AsyncGroups of '.*', open> was never closed"):
        forget()
    assert opened_since(before) == []
    wait_until(lambda: threading.active_count() <= threads)


def test_a_closed_handle_is_forgotten_in_silence(database: str) -> None:
    """So is one that never came to be, and a start that nobody awaited."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await groups.create("group")
        aio.start(database)
        with pytest.raises(StartFailed):
            await aio.start("")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


def in_child(groups: AsyncGroups) -> dict[str, str]:
    """Tell how each call is refused, on an event loop of the child's own."""

    async def call_all() -> dict[str, str]:
        said = {}
        for name, call in CALLS.items():
            try:
                await call(groups)
            except GroupError as error:
                said[name] = f"{type(error).__name__}: {error}"
        await groups.close()
        return said

    return asyncio.run(call_all())


def refused_in_a_child(said: dict[str, str]) -> bool:
    sentence = f"Closed: The handle belongs to process {os.getpid()}, from which this process"
    return said.keys() == CALLS.keys() and all(each.startswith(sentence) for each in said.values())


@needs_fork
@beside_threads
def test_a_child_is_refused_the_handle(database: str) -> None:
    """Every method raises Closed in a forked child; the parent goes on, and so does a new start."""

    def child(groups: AsyncGroups) -> dict[str, str]:
        with beryl_groups.start(database) as own:
            own.create("child")
        return in_child(groups)

    async def main() -> None:
        async with aio.start(database) as groups:
            await groups.create("group")
            await groups.topics("group")
            writing = asyncio.create_task(groups.create("beside"))
            await asyncio.sleep(0)
            forked = Fork(lambda: child(groups))
            await writing
            assert refused_in_a_child(await asyncio.to_thread(forked.result))
            assert await groups.list_groups() == ["beside", "child", "group"]

    asyncio.run(main())


@needs_fork
@beside_threads
def test_a_fork_inside_a_transaction_waits_for_nothing(database: str, engine: str) -> None:
    """The loop could not end it meanwhile: a file is refused at once, and a server reads beside."""

    def child(groups: AsyncGroups) -> dict[str, str]:
        if engine == SQLITE:
            with pytest.raises(StartFailed, match="had a transaction open"):
                beryl_groups.start(database)
        else:
            with beryl_groups.start(database) as own:
                assert own.topics("group") == frozenset()
        return in_child(groups)

    async def main() -> None:
        async with aio.start(database, busy_timeout=100 * PATIENCE) as groups:
            await groups.create("group")
            async with groups.transaction() as transaction:
                await transaction.add("group", "before")
                said = await asyncio.to_thread(Fork(lambda: child(groups)).result)
                await transaction.add("group", "after")
            assert refused_in_a_child(said)
            assert await groups.topics("group") == {"before", "after"}
            assert await groups.check() == []

    asyncio.run(main())
