"""How long a broker may keep those waiting who send to it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from beryl_groups.clock import monotonic
from beryl_groups.names import shown

if TYPE_CHECKING:
    from collections.abc import Callable

_A_WEEK = 604_800.0  # more than a timer can hold helps nobody

A_MOMENT = 1.0
"""Seconds in which a thread ends, unless it hangs in the network; then it is left behind."""


def seconds_of(timeout: float) -> float:
    """Return a number of seconds that a client can wait, whatever kind of number it was."""
    if isinstance(timeout, bool):
        raise TypeError(f"timeout is a number of seconds, not {timeout}.")
    try:
        if 0 < timeout <= _A_WEEK:  # which NaN is not either
            return float(timeout)
    except TypeError as error:
        raise TypeError(f"timeout is a number of seconds, not {shown(timeout)}.") from error
    raise ValueError(
        f"timeout is a number of seconds above 0, at most a week ({_A_WEEK:.0f}), "
        f"not {shown(timeout)}."
    )


class LimitedCondition(threading.Condition):
    """A condition whose waits have one time limit, all of them until the broker gets on.

    The time in which nobody waits does not count, nor does any twice where several threads wait.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._left = seconds
        self._waiting = 0
        self._since = 0.0

    def renew_limit(self) -> None:
        """Begin the time anew: the broker has taken the connection, or confirmed something."""
        self._left, self._since = self._seconds, monotonic()

    def wait_within_limit(self, done: Callable[[], object]) -> bool:
        """Wait as `wait_for` does, for what is left of the time; tell whether it was enough."""
        if self._waiting == 0:
            self._since = monotonic()
        self._waiting += 1
        try:
            while not done():
                left = self._since + self._left - monotonic()
                if left <= 0:
                    return False
                self.wait(left)
            return True
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._left -= monotonic() - self._since
