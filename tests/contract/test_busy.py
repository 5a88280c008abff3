"""What `Busy` says: who was waited for in vain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Busy, aio
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups

BY_TRANSACTION = (
    r"A transaction of this handle held the database .*' for longer than 0\.05 s\. "
    r".* object that transaction\(\) gave"
)
BY_ANOTHER = r"Another writer held the database .*' for longer than 0\.05 s\.$"


def transact(groups: Groups) -> None:
    with groups.transaction():
        pytest.fail("it was entered")


WRITES: list[Callable[[Groups], None]] = [lambda groups: groups.create("late"), transact]


@pytest.mark.parametrize("write", WRITES, ids=["call", "transaction"])
def test_a_thread_is_told_of_a_transaction_of_its_own_handle(
    database: str, write: Callable[[Groups], None]
) -> None:
    """And how to write what belongs to that; of another handle it is told as of another writer."""
    with (
        beryl_groups.start(database, busy_timeout=0.05) as groups,
        beryl_groups.start(database, busy_timeout=0.05) as another,
        groups.transaction(),
    ):
        with pytest.raises(Busy, match=BY_TRANSACTION):
            in_thread(lambda: write(groups)).result(PATIENCE)
        with pytest.raises(Busy, match=BY_ANOTHER):
            write(another)


def test_a_task_is_told_of_the_transaction_that_started_it(database: str) -> None:
    """A write beside that, in a task which the block starts and awaits, is told what to do."""

    async def main() -> None:
        async with aio.start(database, busy_timeout=0.05) as groups:
            async with groups.transaction() as transaction:
                with pytest.raises(Busy, match=BY_TRANSACTION):
                    await asyncio.gather(groups.create("beside"))
                await transaction.create("inside")
            with (
                beryl_groups.start(database) as another,
                another.transaction(),
                pytest.raises(Busy, match=BY_ANOTHER),
            ):
                await groups.create("late")
            assert await groups.list_groups() == ["inside"]

    asyncio.run(main())
