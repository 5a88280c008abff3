"""Ctrl-C at each step that a call makes in the package."""

from __future__ import annotations

import ctypes
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import beryl_groups
from tests.processes import THOROUGH

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PACKAGE = str(Path(beryl_groups.__file__).parent)


def _c_function(name: str) -> Callable[..., Any]:
    """Make a trace function of C's, which takes three objects, of one that takes nothing."""
    return ctypes.PYFUNCTYPE(None, *[ctypes.py_object] * 3)((name, ctypes.pythonapi))


class Interrupter:
    """Interrupts what is called in the main thread, once, at a step of its way in the package.

    A step is an operation of Python's. A trace function in Python would be interrupted itself.
    This one is C's, so the interrupt comes where Python looks for signals next, as Ctrl-C does.
    """

    _set_interrupt = staticmethod(_c_function("PyErr_SetInterrupt"))

    def __init__(self, step: int) -> None:
        self._steps_to_go = step
        self.interrupted = False

    def call(self, function: Callable[[], object]) -> None:
        """Call a function, and take the interrupt where it comes."""
        signal.signal(signal.SIGINT, self._interrupt)
        sys._getframe().f_trace_opcodes = True  # what Python 3.12 wants to know beforehand
        sys.settrace(self._trace)
        try:
            function()
            for _ in range(3):  # the interrupt may still be on its way
                pass
        except KeyboardInterrupt:
            pass
        except TypeError as error:
            # CPython 3.11 can lose its place where an interrupt meets a trace of operations.
            if str(error) != "'traceback' object is not callable":
                raise
        finally:
            sys.settrace(None)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        sys.settrace(None)
        self.interrupted = True
        raise KeyboardInterrupt

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        self._steps_to_go -= event == "opcode"
        return self._trace if self._steps_to_go > 0 else self._set_interrupt


SHARES = 4
"""In how many processes the steps of a long call are tried, each some of them."""


def at_steps(attempt: Callable[[Interrupter], None], apart: int = 1, share: int = SHARES) -> int:
    """Have a call interrupted at one step after the other; it takes the same way each time.

    Without ``CI=long`` four of five are left out. A share is each fourth of those that remain.
    """
    apart *= 1 if THOROUGH else 5
    step, interrupted = 1, True
    if share < SHARES:
        step += share * apart
        apart *= SHARES
    step -= apart
    while interrupted:
        step += apart
        attempt(interrupter := Interrupter(step))
        interrupted = interrupter.interrupted
    return step
