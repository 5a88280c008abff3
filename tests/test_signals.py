"""Ctrl-C at any time: real signals in one thread, beside others that write."""

from __future__ import annotations

import itertools
import random
import signal
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import beryl_groups
from tests.processes import PATIENCE, in_thread
from tests.test_interrupts import add_one_by_one, in_process, whole

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType


def interrupt_at_any_time(path: Path) -> int:
    """Have a timer interrupt whatever the main thread does, beside two threads that write."""
    if (coverage := sys.modules.get("coverage")) and (measuring := coverage.Coverage.current()):
        measuring.stop()  # it takes a lock of its own, which an interrupt would leave taken
    chance, stop = random.Random(11), threading.Event()
    written: set[str] = set()
    pending = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pending
        if pending:
            pending = False
            raise KeyboardInterrupt

    def write(worker: int) -> None:
        numbers = itertools.count()
        while not stop.is_set():
            groups.add("others", topic := f"{worker}:{next(numbers)}")
            written.add(topic)

    def be_interrupted() -> None:
        add_one_by_one(groups)
        while pending:
            groups.topics("group")

    signal.signal(signal.SIGALRM, interrupt)
    with beryl_groups.start(path, busy_timeout=PATIENCE, synchronous="normal") as groups:
        groups.create("group")
        groups.create("others")
        workers = [in_thread(partial(write, worker)) for worker in range(2)]
        for _ in range(1000):
            with suppress(KeyboardInterrupt):
                pending = True
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 2e-3))
                be_interrupted()
            whole(groups)
            groups.remove("group", "a", "b")
        stop.set()
        for worker in workers:
            worker.result(PATIENCE)
        assert groups.topics("others") == written
        assert groups.check() == []
    return 1000


def test_interrupts_at_any_time_hurt_nobody(path: Path) -> None:
    """A thousand real signals in one thread lose nothing of the others', and leave no half."""
    in_process(interrupt_at_any_time, path)
