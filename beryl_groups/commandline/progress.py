"""How far long work has come, on standard error where that is a terminal."""

from __future__ import annotations

import itertools
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from beryl_groups.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECONDS_BETWEEN_SIGNS = 0.1


@contextmanager
def steps(label: str, *, hidden: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Give a function that takes how much of how much is done."""
    if hidden or not _is_terminal():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:
        yield _Paced(bar).reach
        bar.update((bar.length or 0) - bar.pos)


@contextmanager
def signs(label: str) -> Iterator[Callable[[], None]]:
    """Give a function that shows that work goes on, when nobody knows how much there is of it."""
    if not _is_terminal():
        yield lambda: None
        return
    # An iterable without a length: the bar wanders.
    with click.progressbar(itertools.count(), label=label, file=sys.stderr) as bar:
        yield _Paced(bar).move


class _Paced:
    """A bar that is drawn no more often than an eye can see."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._drawn = monotonic()

    def reach(self, done: int, total: int) -> None:
        if done >= total or self._is_time():
            self._bar.length = max(total, 1)
            self._bar.update(done - self._bar.pos)

    def move(self) -> None:
        if self._is_time():
            self._bar.update(1)

    def _is_time(self) -> bool:
        now = monotonic()
        if now - self._drawn < _SECONDS_BETWEEN_SIGNS:
            return False
        self._drawn = now
        return True


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
