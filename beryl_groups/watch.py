"""Watches: what an application holds while it is told what changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Self

from beryl_groups.bell import Bell
from beryl_groups.broadcast import refuse_awaitable
from beryl_groups.failures import FailuresOfWatch
from beryl_groups.feed import Feed, Over, Scope
from beryl_groups.handle import Handle
from beryl_groups.lines import reason_of
from beryl_groups.logs import logger
from beryl_groups.names import check_bound, check_name, check_names, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from beryl_groups.changes import Change
    from beryl_groups.lookout import Lookout

_SECONDS_OF_A_WAIT = 1.0
"""Some systems let no signal end a wait."""


class Watch(Handle):
    """What ``Groups.watch`` gives: an iterator of changes, or what tells them to a callback.

    It is a context manager that stops it. After ``stop``, or after the handle's ``close``, nothing
    is told any more: iteration ends, and no thread is left. Where the file was moved or replaced,
    iteration ends with a `StorageFailed`, and a callback is told no more, which is logged.
    """

    def __init__(
        self,
        lookout: Lookout,
        feed: partial[Feed],
        on_change: Callable[[Change], object] | None,
    ) -> None:
        self._bell = Bell()
        self._lookout = lookout
        self._feed = feed(self._bell.ring)
        self._on_change = on_change
        try:
            lookout.add(self._feed)
            while not (self._feed.begun or self._feed.ended):
                self._bell.wait(_SECONDS_OF_A_WAIT)
            if self._feed.error is not None:
                raise self._feed.error
            lookout.engine.refuse_if_closed()
            if on_change is not None:
                serve = partial(self._serve, on_change)
                self._feed.serve(
                    threading.Thread(target=serve, name="beryl_groups-watch-callback", daemon=True)
                )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Have nothing told any more, and wait for a callback that is under way to end.

        Inside of the callback it waits for nothing, and elsewhere for five seconds at the most. To
        stop it twice is fine.

        >>> watch = groups.watch(print)
        >>> watch.stop()
        """
        self._lookout.close(self._feed)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        if self._on_change is not None:
            raise TypeError(f"This watch tells all to its callback {shown(self._on_change)}.")
        try:
            return self._next()
        except Over:
            raise StopIteration from None

    def _next(self) -> Change:
        while (change := self._lookout.take(self._feed)) is None:
            self._bell.wait(_SECONDS_OF_A_WAIT)
        return change

    def _serve(self, on_change: Callable[[Change], object]) -> None:
        try:
            while True:
                change: Change | None = self._next()
                with FailuresOfWatch() as failures:
                    while change is not None:
                        try:
                            refuse_awaitable(on_change(change))
                        except Exception as error:  # noqa: BLE001 - it is logged
                            failures.note(error, change.group, iter(()))
                        change = self._lookout.take(self._feed)
        except Over:
            pass
        except BaseException as error:  # noqa: BLE001 - at SystemExit a thread ends without a word
            logger().error("A watch has ended: %s.", reason_of(error), exc_info=error)
        finally:
            self._lookout.close(self._feed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "ended" if self._feed.ended else "open"
        return f"<Watch of {self._lookout.engine.shown!r}, {state}>"

    def __del__(self) -> None:
        if (feed := getattr(self, "_feed", None)) is not None:
            self._lookout.end(feed)


def check_watch(
    on_change: object,
    group: str | Iterable[str] | None,
    prefix: str,
    known: Mapping[str, Iterable[str]] | None,
    interval: float,
) -> partial[Feed]:
    """Return what gives the feed of such a watch, or raise for what it cannot be."""
    if on_change is not None and not callable(on_change):
        raise TypeError(f"on_change is a callable (change), not {shown(on_change)}.")
    if group is not None and prefix:
        raise ValueError("A watch is of named groups or of all with a prefix, not of both.")
    if group is None:
        scope = Scope(None, check_bound(prefix))
    else:
        names = [check_name(group)] if isinstance(group, str) else check_names(group)
        scope = Scope(frozenset(names))
    told = None
    if known is not None:
        if not isinstance(known, Mapping):
            raise TypeError(f"known is a mapping of names to topics, not {shown(known)}.")
        told = {check_name(name): frozenset(check_names(known[name])) for name in known}
        told = {name: topics for name, topics in told.items() if name in scope}
    return partial(Feed, scope, told, _check_interval(interval))


def _check_interval(interval: float) -> float:
    if isinstance(interval, bool):
        raise TypeError(f"interval is a number of seconds, not {interval}.")
    try:
        if interval > 0:  # which NaN is not
            return float(min(interval, threading.TIMEOUT_MAX))
    except TypeError as error:
        raise TypeError(f"interval is a number of seconds, not {shown(interval)}.") from error
    raise ValueError(f"interval is a number of seconds above 0, not {interval!r}.")
