"""A handle is an object of the process that opened it, and no value."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups import Groups, aio, supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

SPAWN = multiprocessing.get_context("spawn")
WAYS: list[Callable[[Any], object]] = [
    pickle.dumps,
    copy.copy,
    copy.deepcopy,
    lambda handle: copy.deepcopy({"handles": [handle]}),
    lambda handle: (
        multiprocessing.get_context("spawn").Process(target=print, args=(handle,)).start()
    ),
]


def refuse(handle: object) -> None:
    for way in WAYS:
        with pytest.raises(TypeError, match=r"call start\(\) where it is needed"):
            way(handle)


def test_a_handle_is_true(groups: Groups) -> None:
    """A handle, or a transaction, is true however empty it is, and after its end."""
    assert bool(groups)
    with groups.transaction() as transaction:
        assert bool(transaction)
    assert bool(transaction)
    groups.close()
    assert bool(groups)


def test_a_handle_cannot_be_copied_or_sent(groups: Groups) -> None:
    """To pickle, copy or hand over a handle is refused with a sentence that says what to do."""
    refuse(groups)
    with groups.transaction() as transaction:
        refuse(transaction)
    groups.close()
    refuse(groups)


def test_an_async_handle_is_one_too(database: str) -> None:
    """So it is with the handle of an event loop, and its transaction."""

    async def main() -> None:
        async with aio.start(database) as groups:
            assert bool(groups)
            refuse(groups)
            async with groups.transaction() as transaction:
                assert bool(transaction)
                refuse(transaction)
        assert bool(groups)

    asyncio.run(main())


def test_what_is_supervised_is_one_too(database: str) -> None:
    """So it is with what the supervisor started: an empty database makes it no less true."""
    config = supervisor.SupervisedConfig(channels=print, database=database)
    with supervisor.start(config) as supervised:
        assert bool(supervised)
        assert bool(supervised.groups)
        refuse(supervised)
