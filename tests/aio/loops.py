"""Event loops for tests: each kind that a handle of ``beryl_groups.aio`` works on."""

from __future__ import annotations

import asyncio
import importlib.util
import types
from typing import TYPE_CHECKING, Any

import pytest

from beryl_groups.sqlite.store import Store
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from beryl_groups.aio import AsyncGroups
    from beryl_groups.engine import Engine

    Main = Coroutine[Any, Any, object]
    Run = Callable[[Main], object]


def run_uvloop(main: Main) -> None:
    import uvloop

    uvloop.run(main)


def run_anyio(main: Main) -> None:
    import anyio

    async def wait() -> None:
        await main

    anyio.run(wait)


def _if_there(run: Run, name: str) -> Any:
    missing = importlib.util.find_spec(name) is None
    return pytest.param(run, id=name, marks=pytest.mark.skipif(missing, reason=f"needs {name}"))


KINDS = [
    pytest.param(asyncio.run, id="asyncio"),
    _if_there(run_uvloop, "uvloop"),
    _if_there(run_anyio, "anyio"),
]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what gives no signal that one could wait for."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


def queued(groups: AsyncGroups) -> int:
    """Count the calls whose turn has not come."""
    return len(groups._turns._queue)


def carried_out(groups: AsyncGroups) -> bool:
    """Tell whether the thread has begun with a turn, and may wait for another process now."""
    return writes(groups._engine)


def writes(engine: Engine) -> bool:
    """Tell whether a handle has begun with a write; it may be waiting for another to end."""
    if isinstance(engine, Store):
        return engine._writer._leader is not None
    pool = engine.pool  # type: ignore[attr-defined]  # its driver may be missing, so: no import
    return len(pool._open) > len(pool._idle)


async def outcomes(*tasks: asyncio.Task[Any]) -> list[type[BaseException] | None]:
    """Return the class of what each task raised, or None."""
    async with asyncio.timeout(PATIENCE):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(each) if isinstance(each, BaseException) else None for each in ended]


@types.coroutine
def cancelled_at(step: int, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, bool]:
    """Run a coroutine and cancel it where it waits for the nth time; tell whether it was."""
    task = asyncio.current_task()
    assert task is not None
    resume, given, steps = coroutine.send, None, 0
    while True:
        try:
            waited_for = resume(given)
        except StopIteration:
            return False
        except asyncio.CancelledError:
            assert steps >= step
            return True
        steps += 1
        if steps == step:
            asyncio.get_running_loop().call_soon(task.cancel)
        try:
            given, resume = (yield waited_for), coroutine.send
        except BaseException as error:
            given, resume = error, coroutine.throw
