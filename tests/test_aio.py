"""The face for asyncio: what it answers, refuses and raises, on each kind of event loop."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Busy, Closed, GroupError, InvalidName, NotFound, StartFailed
from beryl_groups import aio
from tests.wal import commits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from beryl_groups.aio import AsyncGroups

    Run = Callable[[Coroutine[Any, Any, None]], None]


def run_anyio(main: Coroutine[Any, Any, None]) -> None:
    import anyio

    async def wait() -> None:
        await main

    anyio.run(wait)


def run_uvloop(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.run(main)


def has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


needs_uvloop = pytest.mark.skipif(not has("uvloop"), reason="needs uvloop")
needs_anyio = pytest.mark.skipif(not has("anyio"), reason="needs anyio")


@pytest.fixture(
    params=[
        asyncio.run,
        pytest.param(run_uvloop, marks=needs_uvloop),
        pytest.param(run_anyio, marks=needs_anyio),
    ],
    ids=["asyncio", "uvloop", "anyio"],
)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on an event loop, of each kind."""
    return request.param  # type: ignore[no-any-return]


def test_every_method_does_what_its_namesake_does(path: Path, run: Run, tmp_path: Path) -> None:
    """The methods of the async handle answer as those of the plain one, on each event loop."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("team")
            await groups.add("team", "a", "b", "c")
            await groups.remove("team", "c", "z")
            await groups.create("gone")
            await groups.delete("gone")
            await groups.rename("team", "crew")
            await groups.create("other")
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
            got: list[str] = []
            await groups.broadcast(
                lambda topic, *_: got.append(topic), ["crew", "other"], "e", None, exclude="d"
            ) if False else None
            await groups.broadcast(lambda topic, *_: got.append(topic), ["crew", "other"], "e", 1)
            assert got == ["a", "b", "d"]
            assert await groups.check() == []
            await groups.backup(tmp_path / "copy.db")
            async with groups.transaction() as transaction:
                await transaction.delete("other")
                assert await transaction.count() == 1
                assert await groups.count() == 2
        with beryl_groups.start(path) as plain:
            assert plain.list_groups() == ["crew"]
        with beryl_groups.start(tmp_path / "copy.db") as copy:
            assert copy.list_groups() == ["crew", "other"]

    run(main())
