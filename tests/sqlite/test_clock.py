"""Time limits measure real time, whatever time a program's tests have it be."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import freezegun
import pytest

import beryl_groups
from beryl_groups import Busy, Groups, StartFailed, aio
from tests.processes import PATIENCE
from tests.sqlite.opening import another_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOCKED = ("BEGIN IMMEDIATE",)


def write(groups: Groups) -> None:
    groups.create("late")


def transact(groups: Groups) -> None:
    with groups.transaction() as transaction:
        transaction.create("late")


def gives_up(call: Callable[[], object]) -> type[BaseException] | None:
    """Make a call in a thread, for it might wait for ever, and return what it raised."""
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(call).exception(PATIENCE)
    return None if error is None else type(error)


@pytest.mark.parametrize("call", [write, transact])
def test_a_write_beside_another_process_gives_up(
    path: Path, call: Callable[[Groups], None]
) -> None:
    """It waits for busy_timeout in the frozen time as in any other."""
    with (
        beryl_groups.start(path, busy_timeout=0.2) as groups,
        another_process(path, *LOCKED),
        freezegun.freeze_time("2026-01-01"),
    ):
        assert gives_up(lambda: call(groups)) is Busy


@pytest.mark.parametrize("call", [write, transact])
def test_a_write_beside_another_thread_gives_up(path: Path, call: Callable[[Groups], None]) -> None:
    """So it is where a transaction of the same handle is open in another thread."""
    with (
        beryl_groups.start(path, busy_timeout=0.2) as groups,
        groups.transaction(),
        freezegun.freeze_time("2026-01-01"),
    ):
        assert gives_up(lambda: call(groups)) is Busy


def test_a_start_beside_a_lock_gives_up(path: Path) -> None:
    """So it is with a file that has to be made first, and that another process holds."""
    path.touch()
    with another_process(path, "BEGIN EXCLUSIVE"), freezegun.freeze_time("2026-01-01"):
        assert gives_up(lambda: beryl_groups.start(path, busy_timeout=0.2)) is StartFailed


def test_a_task_gives_up(path: Path) -> None:
    """So it is for the tasks of an event loop."""

    async def main() -> None:
        async with aio.start(path, busy_timeout=0.2) as groups:
            with freezegun.freeze_time("2026-01-01"), pytest.raises(Busy):
                await groups.create("late")
            with freezegun.freeze_time("2026-01-01"), pytest.raises(Busy):
                async with groups.transaction() as transaction:
                    await transaction.create("late")

    beryl_groups.start(path).close()
    with another_process(path, *LOCKED):
        asyncio.run(main())


def test_tasks_that_wait_for_one_another_give_up(path: Path) -> None:
    """So it is where a task waits for the transaction of another, or for a slow callback."""
    served: list[str] = []

    async def hang(topic: str, _event: str, _payload: object) -> None:
        served.append(topic)
        await asyncio.Event().wait()

    async def main() -> None:
        with freezegun.freeze_time("2026-01-01"):
            async with aio.start(path, busy_timeout=0.2) as groups:
                await groups.add("team", "a", "b", create=True)
                async with groups.transaction():
                    for late in (groups.create("late"), take(groups)):
                        with pytest.raises(Busy):
                            await asyncio.create_task(late)
                await groups.broadcast(hang, "team", "event", None, timeout=0.2)

    async def take(groups: aio.AsyncGroups) -> None:
        async with groups.transaction():
            pass

    asyncio.run(main())
    assert served == ["a", "b"]


def test_a_package_that_is_loaded_in_frozen_time_knows_the_real_one(path: Path) -> None:
    """So it is where the time was frozen before the package was imported."""
    script = f"""
import freezegun
with freezegun.freeze_time("2026-01-01"):
    import beryl_groups
    with beryl_groups.start({str(path)!r}, busy_timeout=0.2) as groups:
        try:
            groups.create("late")
        except beryl_groups.Busy:
            print("gave up")
"""
    beryl_groups.start(path).close()
    with another_process(path, *LOCKED):
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.stdout == "gave up\n", done.stderr
