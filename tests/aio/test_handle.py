"""The face for asyncio: what it answers, what it refuses, and on which event loops."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import (
    AlreadyExists,
    Busy,
    Closed,
    InvalidName,
    NotFound,
    StartFailed,
    StorageFailed,
    aio,
    sqlite,
)
from tests.aio import loops
from tests.processes import open_files, opened_since, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups, AsyncTransaction
    from tests.aio.loops import Run


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc/self/fd")


def test_every_method_does_what_its_namesake_does(database: str, path: Path, run: Run) -> None:
    """The methods answer as those of a plain handle, on each kind of event loop."""
    copy = path.with_name("copy.db")

    async def main() -> None:
        async with aio.start(database) as groups:
            for name in ("team", "gone", "other"):
                await groups.create(name)
            await groups.add("team", "a", "b", "c")
            await groups.remove("team", "c", "z")
            await groups.delete("gone")
            await groups.rename("team", "crew")
            await groups.set_topics("other", iter(["b", "d"]))
            assert await groups.topics("crew") == {"a", "b"}
            assert await groups.list_groups() == ["crew", "other"]
            assert await groups.list_groups("o", after="crew", limit=1) == ["other"]
            assert await groups.groups_of("b") == ["crew", "other"]
            assert await groups.exists("crew")
            assert not await groups.exists("team")
            assert not await groups.exists("")
            assert await groups.count() == 2
            assert [name async for name in groups] == ["crew", "other"]
            assert await groups.check() == []
            await groups.backup(copy)
            async with groups.transaction() as transaction:
                await transaction.delete("other")
                assert await transaction.count() == 1
                assert await groups.count() == 2
            assert repr(groups).endswith("open>")
        assert repr(groups).endswith("closed>")

    run(main())
    with beryl_groups.start(database) as plain:
        assert plain.list_groups() == ["crew"]
        assert plain.topics("crew") == {"a", "b"}
    with beryl_groups.start(copy) as plain:
        assert plain.list_groups() == ["crew", "other"]


REFUSED: list[tuple[Callable[[Any], Awaitable[object]], type[Exception]]] = [
    (lambda groups: groups.create("team"), AlreadyExists),
    (lambda groups: groups.delete("nobody"), NotFound),
    (lambda groups: groups.rename("nobody", "new"), NotFound),
    (lambda groups: groups.rename("team", "team"), AlreadyExists),
    (lambda groups: groups.add("nobody", "a"), NotFound),
    (lambda groups: groups.add("team", "b", ""), InvalidName),
    (lambda groups: groups.add("team", "b", 5), TypeError),
    (lambda groups: groups.remove("nobody", "a"), NotFound),
    (lambda groups: groups.set_topics("nobody", []), NotFound),
    (lambda groups: groups.set_topics("team", "abc"), TypeError),
    (lambda groups: groups.topics("nobody"), NotFound),
    (lambda groups: groups.topics("\0"), InvalidName),
    (lambda groups: groups.list_groups(limit=-1), ValueError),
    (lambda groups: groups.list_groups(limit=1.5), TypeError),
    (lambda groups: groups.groups_of("\ud800"), InvalidName),
    (lambda groups: groups.exists(5), TypeError),
    (lambda groups: groups.broadcast("no callable", "team", "e", None), TypeError),
    (lambda groups: groups.broadcast(print, "", "e", None), InvalidName),
    (lambda groups: groups.broadcast(print, "team", "e", None, exclude="a"), TypeError),
]


def test_a_refused_call_raises_what_its_namesake_raises(database: str) -> None:
    """Through the handle and in a transaction; it stores nothing, and the next calls work."""

    async def refuse_all(groups: AsyncGroups | AsyncTransaction) -> None:
        for call, error in REFUSED:
            with pytest.raises(error):
                await call(groups)
        assert await groups.topics("team") == {"a"}

    async def main() -> None:
        async with aio.start(database) as groups:
            await groups.create("team")
            await groups.add("team", "a")
            await refuse_all(groups)
            async with groups.transaction() as transaction:
                await refuse_all(transaction)
                await transaction.add("team", "b")
            assert await groups.topics("team") == {"a", "b"}

    asyncio.run(main())


def test_start_may_be_awaited_or_entered(database: str, run: Run) -> None:
    """Awaited it gives a handle, which may be entered too; a block closes it."""

    async def main() -> None:
        groups = await aio.start(database, busy_timeout=1, synchronous="normal")
        await groups.create("team")
        await groups.close()
        async with await aio.start(database) as entered:
            assert await entered.exists("team")
        async with aio.start(database) as started:
            assert await started.exists("team")
        for closed in (groups, entered, started):
            with pytest.raises(Closed, match=r"open it again with start\(\)"):
                await closed.topics("team")

    run(main())


def test_start_on_a_file_fails_as_the_plain_one_does(path: Path) -> None:
    """With the same errors, and the file as it was."""
    path.write_bytes(b"something else, and long enough to be looked at" * 10)
    before = path.read_bytes()

    async def main() -> None:
        with pytest.raises(StartFailed, match="no SQLite database"):
            await aio.start(path)
        with pytest.raises(StartFailed, match="there is no folder"):
            async with aio.start(path.parent / "no" / "groups.db"):
                pytest.fail("it was entered")
        with pytest.raises(ValueError, match="synchronous"):
            await aio.start(path, synchronous="off")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="busy_timeout"):
            await aio.start(path, busy_timeout=-1)

    asyncio.run(main())
    assert path.read_bytes() == before


@pytest.mark.parametrize("busy_timeout", [0, 10.0**12])
def test_any_busy_timeout_will_do(database: str, run: Run, busy_timeout: float) -> None:
    """Zero does not keep a lone call from its turn, and years do not overflow."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=busy_timeout) as groups:
            await groups.create("team")
            async with groups.transaction() as transaction:
                waiting = asyncio.create_task(groups.add("team", "waits"))
                await asyncio.sleep(0)
                await transaction.add("team", "a")
            expected = Busy if busy_timeout == 0 else None
            assert await loops.outcomes(waiting) == [expected]
            assert await groups.topics("team") == {"a"} | ({"waits"} if expected is None else set())

    run(main())


def test_a_failure_of_the_file_is_one_of_ours(path: Path) -> None:
    """What SQLite said comes as StorageFailed with its cause, from reads and from writes."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("team")
            path.write_bytes(b"x" * 8192)
            with pytest.raises(StorageFailed) as caught:
                await groups.list_groups()
            assert isinstance(caught.value.__cause__, sqlite.Error)

    asyncio.run(main())


def leaves_nothing_behind(database: str, often: int) -> None:
    async def main(turn: int) -> None:
        async with aio.start(database) as groups:
            await groups.create(f"{turn}")
            assert await groups.exists(f"{turn}")
            async with groups.transaction() as transaction:
                await transaction.add(f"{turn}", "a")

    before, threads = open_files(), threading.active_count()
    for turn in range(often):
        asyncio.run(main(turn))
        assert opened_since(before) == []
    wait_until(lambda: threading.active_count() <= threads)


@needs_proc
def test_many_starts_and_closes_leak_nothing(
    database: str, times: Callable[[int, int], int]
) -> None:
    """20 handles that are opened, used and closed leave no descriptor and no thread."""
    leaves_nothing_behind(database, times(20, 3))


@needs_proc
def test_many_databases_in_memory_leak_nothing() -> None:
    """Nor do those of ``":memory:"``, each of which has a file of its own."""
    leaves_nothing_behind(":memory:", 20)
