"""A backup put back through the handle of an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Busy, GroupError, StorageFailed, aio
from tests.aio import loops
from tests.contract.copies import contents, made, names_in
from tests.engines import SQLITE
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.aio.loops import Run


@pytest.fixture
def held(times: Callable[[int, int], int]) -> set[str]:
    """The topics of its group, which are many."""
    return {f"{number}:{'x' * 900}" for number in range(times(5000, 1000))}


@pytest.fixture
def backup(tmp_path: Path, held: set[str]) -> Path:
    """A backup of one group, in a folder of its own."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return made(folder / "last-night.db", {"kept": held})


def test_a_backup_is_restored_beside_other_tasks(
    database: str, backup: Path, held: set[str], run: Run
) -> None:
    """The loop goes on meanwhile, and every task sees what the backup holds at its next call."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            await groups.create("old")
            assert await groups.exists("old")
            restoring = asyncio.create_task(groups.restore(backup))
            ticks = 0
            while not restoring.done():
                await asyncio.sleep(0)
                ticks += 1
            await restoring
            assert ticks > 1
            assert not await groups.exists("old")
            assert await groups.topics("kept") == held

    run(main())


def test_what_is_no_backup_is_refused(database: str, path: Path, run: Run) -> None:
    """With the sentence of the plain handle, and nothing changed."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await groups.create("before")
            with pytest.raises(StorageFailed, match="was not restored: there is no such file"):
                await groups.restore(path.with_name("missing.db"))
            assert await groups.list_groups() == ["before"]

    run(main())


def test_a_restore_inside_an_own_transaction_is_refused_at_once(
    database: str, backup: Path, run: Run
) -> None:
    """The task that has a transaction open would wait for itself; another task waits for it."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            async with groups.transaction() as transaction:
                with pytest.raises(GroupError, match="This task has a transaction open") as caught:
                    await groups.restore(backup)
                assert not isinstance(caught.value, Busy)
                waiting = asyncio.create_task(groups.restore(backup))
                await transaction.create("inside")
            await waiting
            assert await groups.list_groups() == ["kept"]

    run(main())


def test_a_restore_that_is_cancelled_has_happened_or_not(
    database: str, engine: str, path: Path, backup: Path, times: Callable[[int, int], int]
) -> None:
    """Whenever the task is cancelled there is the one or the other, whole, and no draft."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=PATIENCE) as groups:
            for pause in range(0, 12, times(1, 4)):
                await groups.create("before", exist_ok=True)
                await groups.delete("kept", missing_ok=True)
                restoring = asyncio.create_task(groups.restore(backup))
                await asyncio.sleep(pause / 100)
                restoring.cancel()
                (ended,) = await loops.outcomes(restoring)
                found = await groups.list_groups()
                assert found in (["before"], ["kept"])
                if ended is None:
                    assert found == ["kept"]

    asyncio.run(main())
    assert names_in(path.parent) == ["backups", *([path.name] if engine == SQLITE else [])]
    with beryl_groups.start(database) as groups:
        assert groups.check() == []
        assert set(contents(groups)) in ({"before"}, {"kept"})
