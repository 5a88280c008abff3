"""Real time, for limits: tests of a program may freeze the time that ``time`` tells it."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

monotonic: Callable[[], float]
"""Return seconds since some moment; freezegun replaces the functions of ``time`` that it knows."""

if sys.platform == "win32":
    # The reference that threading took when Python started, and which freezegun leaves to it.
    from threading import _time as monotonic  # type: ignore[attr-defined, no-redef]
else:
    monotonic = partial(time.clock_gettime, time.CLOCK_MONOTONIC)
