"""``aio.start``, which opens a database while the event loop goes on."""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from beryl_groups.aio.groups import AsyncGroups
from beryl_groups.aio.threads import own_thread, running_loop
from beryl_groups.opening import open_engine

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator
    from types import TracebackType

    from sqlalchemy import URL

    from beryl_groups.engine import Engine


def start(
    database: str | os.PathLike[str] | URL,
    *,
    busy_timeout: float = 5.0,
    synchronous: Literal["full", "normal"] = "full",
    pool_size: int | None = None,
) -> Starting:
    """Open the groups of a database file for the tasks of the running event loop.

    To be awaited, which gives `AsyncGroups`, or used with ``async with``, which closes it too.
    The arguments and the errors are those of ``beryl_groups.start``. Raises ``RuntimeError``
    where no event loop of asyncio runs.

    >>> groups = await aio.start(":memory:")
    >>> await groups.close()
    >>> async with aio.start(":memory:", busy_timeout=1, synchronous="normal") as groups:
    ...     await groups.create("team:engineering")
    ...     [name async for name in groups]
    ['team:engineering']
    """
    return Starting(partial(open_engine, database, busy_timeout, synchronous, pool_size))


class Starting(Awaitable["AsyncGroups"], AbstractAsyncContextManager["AsyncGroups"]):
    """A handle that is opened where it is awaited, or where its block is entered."""

    def __init__(self, opening: Callable[[], Engine]) -> None:
        self._opening = opening

    def __await__(self) -> Generator[Any, None, AsyncGroups]:
        return self._open().__await__()

    async def _open(self) -> AsyncGroups:
        running_loop()
        engines: list[Engine] = []
        given_up = threading.Event()

        def open_it() -> None:
            engines.append(self._opening())
            if given_up.is_set():
                close()

        def close() -> None:
            for engine in engines:
                engine.close("Nobody waited for it to be opened.")

        try:
            await own_thread(open_it).result()
        except BaseException:
            given_up.set()
            close()
            raise
        return AsyncGroups(engines[0])

    async def __aenter__(self) -> AsyncGroups:
        self._groups = await self
        return self._groups

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._groups.close()
