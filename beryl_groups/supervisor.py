"""Start and stop what belongs together: channels, presence and groups, in that order."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from beryl_groups import groups as _groups
from beryl_groups.errors import StartFailed
from beryl_groups.handle import Handle
from beryl_groups.lines import reason_of
from beryl_groups.logs import logger

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import TracebackType

    from sqlalchemy import URL

    from beryl_groups.groups import Groups

__all__ = ["PartFailed", "SupervisedChannels", "SupervisedConfig", "start"]


@dataclass(frozen=True)
class SupervisedConfig:
    """What `start` starts.

    ``channels`` and ``presence`` are each a plain object, or a context manager, which is entered
    at the start and left at the end; what it gives on entering is then used in its place. One that
    ``@contextmanager`` has made can be entered once: its configuration serves one start.

    ``groups`` says whether groups are opened; they need the name of a ``database``. It is opened
    with the defaults of `beryl_groups.start`: who needs another ``busy_timeout`` or
    ``synchronous`` says ``groups=False`` here and calls that.

    >>> from contextlib import contextmanager
    >>> from beryl_groups import supervisor
    >>> @contextmanager
    ... def presence():
    ...     print("presence starts")
    ...     yield {"room:a"}
    ...     print("presence stops")
    >>> config = supervisor.SupervisedConfig(channels=print, presence=presence(), groups=False)
    >>> with supervisor.start(config) as supervised:
    ...     supervised.channels(supervised.presence)
    presence starts
    {'room:a'}
    presence stops
    """

    channels: object
    presence: object = None
    groups: bool = True
    # Not in its repr, for a URL may hold a password.
    database: str | os.PathLike[str] | URL | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.groups and self.database is None:
            raise TypeError("Groups need a database: name one, or say groups=False.")


class PartFailed(StartFailed):
    """The channels or the presence could not be started; why not is the ``__cause__``.

    >>> str(PartFailed("channels", "the port is in use"))
    'The channels could not be started: the port is in use.'
    """

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(part, reason)
        self.part = part

    def __str__(self) -> str:
        return f"The {self.part} could not be started: {self.reason}."


class SupervisedChannels(Handle):
    """What `start` has started; a context manager that stops it.

    ``channels`` and ``presence`` are of any type, as no type tells what is entered. ``groups`` is
    a handle, or ``None`` where the configuration has ``groups=False``.
    """

    channels: Any
    presence: Any
    groups: Groups | None

    def __init__(self, config: SupervisedConfig) -> None:
        self._lock = threading.Lock()
        self._exits: list[Callable[..., object]] = []
        try:
            self.channels = self._enter("channels", config.channels)
            self.presence = self._enter("presence", config.presence)
            self.groups = None
            if config.groups and config.database is not None:
                self.groups = _groups.start(config.database)
                self._exits.append(self.groups.__exit__)
        except BaseException as error:
            self._unwind(error)
            raise

    def stop(self) -> None:
        """Stop all that was started, the last first; to stop it twice is fine.

        Where something cannot be stopped the rest still is. The first error is raised then, and
        those that follow it are logged.
        """
        self._leave(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(kind, error, traceback)

    def _enter(self, part: str, given: Any) -> Any:
        # Looked up as the with statement does: on the type, and both before one is called.
        enter = getattr(type(given), "__enter__", None)
        leave = getattr(type(given), "__exit__", None)
        if enter is None or leave is None:
            return given
        try:
            entered = enter(given)
        except Exception as error:
            raise PartFailed(part, reason_of(error)) from error
        self._exits.append(partial(leave, given))
        return entered

    def _unwind(self, error: BaseException) -> None:
        try:
            self._leave(type(error), error, error.__traceback__)
        except Exception as second:  # noqa: BLE001 - the first says why nothing was started
            error.add_note(f"Then it could not all be stopped again: {second!r}")

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            exits, self._exits = self._exits, []
        first: BaseException | None = None
        for leave in reversed(exits):
            try:
                leave(kind, error, traceback)  # what it returns must not hide the error
            except BaseException as failure:  # noqa: BLE001 - it is raised or logged
                if first is None:
                    first = failure
                else:
                    logger().exception("Something else could not be stopped either.")
        if first is not None:
            raise first


def start(config: SupervisedConfig) -> SupervisedChannels:
    """Start channels, presence and groups, in this order.

    Where one cannot be started, those before it are stopped, the last first, and `StartFailed`
    is raised.

    >>> from beryl_groups import supervisor
    >>> config = supervisor.SupervisedConfig(channels=print, database=folder / "groups.db")
    >>> with supervisor.start(config) as supervised:
    ...     supervised.groups.create("team")
    ...     supervised.groups.add("team", "room:a")
    ...     supervised.groups.broadcast(supervised.channels, "team", "hello", None)
    room:a hello None
    """
    return SupervisedChannels(config)
