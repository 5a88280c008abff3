"""Programs that end in bad order: they end, and leave nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import beryl_groups
from tests.aio import loops
from tests.processes import PATIENCE

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
beside_threads = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


def run_program(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "default", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


FORGETFUL = """
import asyncio
from beryl_groups import aio

async def main():
    global groups
    groups = await aio.start(":memory:")
    await groups.create("group")
    await groups.topics("group")
    print(groups._engine.location.path)

asyncio.run(main())
"""


def test_a_program_that_forgets_to_close_ends(path: Path) -> None:
    """It ends by itself, with the warning and nothing else, and nothing is left in memory."""
    done = run_program(FORGETFUL)
    assert done.returncode == 0
    assert not Path(done.stdout.strip()).parent.exists()
    assert "was never closed" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


PENDING = """
import asyncio, sys
from beryl_groups import aio

async def transact(groups):
    async with groups.transaction() as transaction:
        await transaction.create("half")
        await asyncio.Event().wait()

async def main():
    async with aio.start(sys.argv[1]) as groups:
        await groups.create("whole")
        tasks = [asyncio.create_task(transact(groups)) for _ in range(3)]
        tasks += [asyncio.create_task(groups.create(f"{n}")) for n in range(100)]
        tasks += [asyncio.create_task(groups.groups_of(f"{n}")) for n in range(100)]
        await asyncio.sleep(0.01)
        if sys.argv[2] == "forget":
            globals()["kept"] = tasks, groups
            return await asyncio.create_task(leave(groups))

async def leave(groups):
    raise SystemExit(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["close", "forget"])
def test_a_loop_may_end_with_calls_that_wait(database: str, kind: str) -> None:
    """``asyncio.run`` ends beside tasks that wait, read or have a transaction open."""
    done = run_program(PENDING, database, kind)
    assert done.returncode == 0, done.stderr
    for complaint in ("never awaited", "was destroyed", "Exception ignored", "never closed"):
        assert complaint not in done.stderr
    with beryl_groups.start(database) as groups:
        assert "whole" in groups
        assert "half" not in groups
        assert groups.check() == []


DROPPED = """
import asyncio, sys
from beryl_groups import aio

async def transact(groups):
    async with groups.transaction() as transaction:
        await transaction.create("half")
        inside.set()
        await asyncio.Event().wait()

async def main():
    global groups, inside, tasks
    inside = asyncio.Event()
    groups = await aio.start(sys.argv[1])
    await groups.create("whole")
    tasks = [asyncio.create_task(transact(groups))]
    await inside.wait()
    tasks += [asyncio.create_task(groups.create(f"{n}")) for n in range(3)]
    await asyncio.sleep(0)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""


def test_a_loop_that_is_closed_beside_a_transaction_lets_the_program_end(database: str) -> None:
    """A loop that is dropped with its tasks leaves nothing half done, and no thread that waits."""
    done = run_program(DROPPED, database)
    assert done.returncode == 0, done.stderr
    with beryl_groups.start(database) as groups:
        assert list(groups) == ["whole"]
        groups.create("afterwards")


INTERRUPTED = """
import asyncio, sys
from beryl_groups import aio

async def write(groups, worker):
    for number in range(10**9):
        await groups.add("group", f"{worker}:{number}")
        print(f"{worker}:{number}", flush=True)
        if number % 10 == 0:
            async with groups.transaction() as transaction:
                await transaction.add("group", f"{worker}:{number}:a")
                await transaction.add("group", f"{worker}:{number}:b")

async def main():
    async with aio.start(sys.argv[1]) as groups:
        await groups.create("group")
        await asyncio.gather(*(write(groups, worker) for worker in range(20)))

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("kind", ["asyncio", pytest.param("uvloop", marks=loops.KINDS[1].marks)])
def test_ctrl_c_ends_a_program_whose_tasks_write(database: str, kind: str) -> None:
    """It ends as any other; what had returned is stored, and nothing is half there."""
    program = subprocess.Popen(
        [sys.executable, "-W", "default", "-c", INTERRUPTED, database, kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout
    acknowledged = [program.stdout.readline().strip() for _ in range(200)]
    program.send_signal(signal.SIGINT)
    rest, complaints = program.communicate(timeout=PATIENCE)
    assert program.returncode == -signal.SIGINT
    assert complaints.strip().endswith("KeyboardInterrupt")
    for complaint in ("never awaited", "was destroyed", "Exception ignored", "never closed"):
        assert complaint not in complaints
    acknowledged += rest.split()
    with beryl_groups.start(database) as groups:
        found = groups.topics("group")
        assert found >= set(acknowledged)
        halves = {topic for topic in found if topic.count(":") == 2}
        assert {topic[:-1] for topic in halves if topic.endswith("a")} == {
            topic[:-1] for topic in halves if topic.endswith("b")
        }
        assert groups.check() == []


OUTLIVING = """
import asyncio, sys, threading
from beryl_groups import GroupError, aio

async def main():
    async with aio.start(sys.argv[1]) as groups:
        await groups.create("in time")
        started.set()
        while threading.main_thread().is_alive():
            await asyncio.sleep(0.001)
        for call in (groups.create("late"), groups.groups_of("late"), groups.backup("x")):
            try:
                await call
            except (GroupError, RuntimeError) as error:
                print(f"{type(error).__name__}: {error}")

started = threading.Event()
threading.Thread(target=lambda: asyncio.run(main())).start()
started.wait()
"""


def test_a_loop_that_outlives_the_main_thread_is_refused_and_closes(database: str) -> None:
    """Python starts no work in threads then: calls raise, none hangs, and close() works."""
    done = run_program(OUTLIVING, database)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    first, *others = done.stdout.splitlines()
    assert first.startswith("Closed: Nothing is written any more: cannot schedule new futures")
    assert [each.partition(":")[0] for each in others] == ["RuntimeError"] * 2
    with beryl_groups.start(database) as groups:
        assert list(groups) == ["in time"]
