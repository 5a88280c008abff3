"""Programs that end while their threads are in the middle of calls."""

from __future__ import annotations

import subprocess
import sys

import pytest

import beryl_groups
from tests.processes import PATIENCE

PROGRAM = """
import atexit
import itertools
import os
import sys
import threading

import beryl_groups

path, way, daemon = sys.argv[1:]
groups = beryl_groups.start(path, synchronous="normal")
groups.create("group")
going = threading.Barrier(5)


def write(worker):
    for number in itertools.count():
        topic = f"{worker}:{number}"
        if number % 3:
            groups.add("group", topic)
        else:
            with groups.transaction() as transaction:
                transaction.add("group", topic)
        os.write(1, f"{topic}\\n".encode())
        groups.topics("group")
        if number == 5:
            going.wait()


def write_until_closed(worker):
    try:
        write(worker)
    except beryl_groups.Closed:
        pass


for worker in range(4):
    threading.Thread(target=write_until_closed, args=(worker,), daemon=bool(daemon)).start()
going.wait()
if way == "at exit":
    atexit.register(groups.close)
elif way == "before":
    groups.close()
elif way == "in a transaction":
    block = groups.transaction()
    block.__enter__().add("group", "half")
sys.exit(3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "daemon"),
    [
        ("never", "daemon"),
        ("before", "daemon"),
        ("before", ""),
        ("at exit", "daemon"),
        ("in a transaction", "daemon"),
    ],
)
def test_a_program_ends_beside_its_threads(database: str, way: str, daemon: str) -> None:
    """It hangs nowhere and says nothing, and what its threads had acknowledged is there.

    So it is where the handle is closed before the end, at the exit, or not at all.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, database, way, daemon],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (3, "")
    acknowledged = set(done.stdout.split())
    assert len(acknowledged) >= 4 * 5
    with beryl_groups.start(database) as groups:
        found = groups.topics("group")
        assert acknowledged <= found
        assert len(found) <= len(acknowledged) + 4, "more than what each thread had begun"
        assert "half" not in found
        assert groups.check() == []
