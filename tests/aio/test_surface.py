"""The public surface for asyncio: what is in it, and that it is that of the plain face."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, assert_type

import pytest

import beryl_groups
from beryl_groups import Change, Groups, Transaction, Watch, aio
from beryl_groups.aio import AsyncGroups, AsyncTransaction, AsyncWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path


def test_the_surface_is_this_and_nothing_more() -> None:
    """A name enters or leaves the public surface only together with this list."""
    assert aio.__all__ == ["AsyncGroups", "AsyncTransaction", "AsyncWatch", "start"]


def methods(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


FOR_THE_HANDLE = {"end", "refuse_if_failed", "refuse_if_unusable"}
IN_PLACE_OF_IN_AND_LEN = {
    "exists": "(self, name: 'str') -> 'bool'",
    "count": "(self) -> 'int'",
}


@pytest.mark.parametrize(
    ("kind", "plain"),
    [(AsyncGroups, Groups), (AsyncTransaction, Transaction), (AsyncWatch, Watch)],
)
def test_the_methods_and_their_arguments_are_those_of_the_plain_face(
    kind: type, plain: type
) -> None:
    """Each method of a plain handle is there, with the same arguments and the same result."""
    found = methods(kind)
    for name, text in IN_PLACE_OF_IN_AND_LEN.items() if kind is not AsyncWatch else ():
        assert str(found.pop(name)) == text
    expected = {
        name: signature
        for name, signature in methods(plain).items()
        if name not in FOR_THE_HANDLE and name != "transaction"
    }
    if kind is AsyncGroups:
        assert str(found.pop("transaction")) == "(self) -> 'AsyncIterator[AsyncTransaction]'"
        watch = str(expected.pop("watch")).replace("'Watch'", "'AsyncWatch'")
        assert str(found.pop("watch")) == watch
    if kind is not AsyncWatch:
        assert str(found.pop("broadcast")) == str(expected.pop("broadcast")).replace(
            "()) ->", "(), concurrency: 'int' = 1, timeout: 'float | None' = None) ->"
        )
    assert found == expected
    for name in found:
        assert inspect.iscoroutinefunction(getattr(kind, name)), name


def test_start_takes_what_the_plain_one_takes() -> None:
    """The arguments of `aio.start` and their defaults are those of `beryl_groups.start`."""
    plain, ours = inspect.signature(beryl_groups.start), inspect.signature(aio.start)
    assert plain.parameters == ours.parameters


def test_the_types_of_a_handle(path: Path) -> None:
    """Every method has the types of the contract, for who calls it and for mypy."""

    async def main() -> None:
        async with aio.start(str(path), busy_timeout=1, synchronous="normal") as started:
            assert_type(started, AsyncGroups)
        groups = await aio.start(path)
        assert_type(groups, AsyncGroups)
        async with groups as entered:
            assert_type(entered, AsyncGroups)
            await groups.create("team")
            await groups.add("team", "a", "b")
            await groups.remove("team", "b")
            await groups.set_topics("team", iter(["a", "c"]))
            await groups.rename("team", "crew")
            assert assert_type(await groups.topics("crew"), frozenset[str]) == {"a", "c"}
            page = await groups.list_groups("c", after="b", limit=5)
            assert assert_type(page, list[str]) == ["crew"]
            assert assert_type(await groups.groups_of("c"), list[str]) == ["crew"]
            assert assert_type(await groups.exists("crew"), bool)
            assert assert_type(await groups.count(), int) == 1
            names: AsyncIterator[str] = aiter(groups)
            assert assert_type([name async for name in names], list[str]) == ["crew"]
            assert assert_type(await groups.check(), list[str]) == []
            await groups.backup(path.with_name("copy.db"))
            await groups.restore(path.with_name("copy.db"))
            async with assert_type(groups.watch(print), AsyncWatch) as watch:
                assert_type(watch, AsyncWatch)
            changes = await groups.watch(known={"team": ["a"]}, group=["team"], interval=1)
            assert_type(await anext(aiter(assert_type(changes, AsyncWatch))), Change)
            await changes.stop()
            await groups.delete("crew")
            block: AbstractAsyncContextManager[AsyncTransaction] = groups.transaction()
            async with block as transaction:
                assert_type(transaction, AsyncTransaction)
                await transaction.create("team")
                assert_type(await transaction.topics("team"), frozenset[str])
                assert_type(await transaction.list_groups(), list[str])
                assert_type(await transaction.groups_of("a"), list[str])
                assert_type(await transaction.exists("team"), bool)
                assert_type(await transaction.count(), int)
                assert_type([name async for name in transaction], list[str])

    asyncio.run(main())


def test_the_payload_has_the_type_that_the_callback_takes(path: Path) -> None:
    """A callback, plain or async, may ask for a type of payload, and may return anything."""
    received: list[tuple[str, str, int]] = []

    async def send(topic: str, event: str, payload: int) -> bool:
        received.append((topic, event, payload))
        return True

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("team")
            await groups.add("team", "a")
            await groups.broadcast(send, "team", "count", 1)
            await groups.broadcast(print, ("team", "other"), "any", {}, exclude={"a"})

    asyncio.run(main())
    assert received == [("a", "count", 1)]


def test_the_plain_face_does_not_import_this_one() -> None:
    """A program of threads does not pay for it."""
    program = "import sys, beryl_groups; sys.exit('beryl_groups.aio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
