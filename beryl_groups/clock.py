"""Real time, for limits: tests of a program may freeze the time that ``time`` tells it."""

from __future__ import annotations

import time
from importlib.util import module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A copy of the module, whose functions are nobody else's: freezegun replaces those that it knows,
# wherever they have been imported, and in here too.
_time = module_from_spec(time.__spec__)
time.__spec__.loader.exec_module(_time)  # type: ignore[union-attr]

monotonic: Callable[[], float] = _time.monotonic
"""Return seconds since some moment."""

thread_time: Callable[[], float] = _time.thread_time
"""Return how many seconds this thread has had a processor."""
