"""The end of an async handle, of its event loop and of its program, in good order and in bad."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Closed, GroupError, StartFailed, aio
from tests import loops
from tests.processes import PATIENCE, Fork, open_files, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups.aio import AsyncGroups

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
beside_threads = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


async def transact(groups: AsyncGroups) -> None:
    async with groups.transaction() as transaction:
        await transaction.create("new")


CALLS: dict[str, Callable[[Any], Any]] = {
    "create": lambda groups: groups.create("new"),
    "delete": lambda groups: groups.delete("group"),
    "rename": lambda groups: groups.rename("group", "new"),
    "add": lambda groups: groups.add("group", "b"),
    "remove": lambda groups: groups.remove("group", "a"),
    "set_topics": lambda groups: groups.set_topics("group", ["b"]),
    "topics": lambda groups: groups.topics("group"),
    "list_groups": lambda groups: groups.list_groups(),
    "groups_of": lambda groups: groups.groups_of("a"),
    "exists": lambda groups: groups.exists("group"),
    "count": lambda groups: groups.count(),
    "async for": lambda groups: anext(aiter(groups)),
    "broadcast": lambda groups: groups.broadcast(print, "group", "event", None),
    "transaction": transact,
    "backup": lambda groups: groups.backup("a copy that is never made"),
    "check": lambda groups: groups.check(),
}


@pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))
def test_a_closed_handle_refuses_every_call(path: Path, call: Callable[[Any], Any]) -> None:
    """Each method of a closed handle raises Closed with a sentence that says what to do."""

    async def main() -> None:
        groups = await aio.start(path)
        await groups.close()
        await groups.close()
        with pytest.raises(Closed, match=r"has been closed: open it again with start\(\)\.$"):
            await call(groups)

    asyncio.run(main())


def test_a_forgotten_handle_warns_and_closes(path: Path) -> None:
    """One that nobody holds any more gives a ResourceWarning and leaves nothing behind."""

    async def main() -> None:
        groups = await aio.start(path)
        await groups.create("group")
        await groups.topics("group")
        async with groups.transaction() as transaction:
            await transaction.add("group", "a")

    threads = threading.active_count()

    def forget() -> None:
        asyncio.run(main())
        gc.collect()

    with pytest.warns(ResourceWarning, match=r"<AsyncGroups of '.*', open> was never closed"):
        forget()
    assert [name for name in open_files() if name.startswith(str(path))] == []
    wait_until(lambda: threading.active_count() <= threads)


def test_a_closed_handle_is_forgotten_in_silence(path: Path) -> None:
    """So is one that never came to be, and a start that nobody awaited."""

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("group")
        aio.start(path)
        with pytest.raises(StartFailed):
            await aio.start(path.parent)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


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
    print(groups._store.location.path)

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
def test_a_loop_may_end_with_calls_that_wait(path: Path, kind: str) -> None:
    """``asyncio.run`` ends beside tasks that wait, read or have a transaction open."""
    done = run_program(PENDING, str(path), kind)
    assert done.returncode == 0, done.stderr
    for complaint in ("never awaited", "was destroyed", "Exception ignored", "never closed"):
        assert complaint not in done.stderr
    with beryl_groups.start(path) as groups:
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


def test_a_loop_that_is_closed_beside_a_transaction_lets_the_program_end(path: Path) -> None:
    """A loop that is dropped with its tasks leaves nothing half done, and no thread that waits."""
    done = run_program(DROPPED, str(path))
    assert done.returncode == 0, done.stderr
    with beryl_groups.start(path) as groups:
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
def test_ctrl_c_ends_a_program_whose_tasks_write(path: Path, kind: str) -> None:
    """It ends as any other; what had returned is stored, and nothing is half there."""
    program = subprocess.Popen(
        [sys.executable, "-W", "default", "-c", INTERRUPTED, str(path), kind],
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
    with beryl_groups.start(path) as groups:
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


def test_a_loop_that_outlives_the_main_thread_is_refused_and_closes(path: Path) -> None:
    """Python starts no work in threads then: calls raise, none hangs, and close() works."""
    done = run_program(OUTLIVING, str(path))
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    first, *others = done.stdout.splitlines()
    assert first.startswith("Closed: Nothing is written any more: cannot schedule new futures")
    assert [each.partition(":")[0] for each in others] == ["RuntimeError"] * 2
    with beryl_groups.start(path) as groups:
        assert list(groups) == ["in time"]


def in_child(groups: AsyncGroups) -> dict[str, str]:
    """Tell how each call is refused, on an event loop of the child's own."""

    async def call_all() -> dict[str, str]:
        said = {}
        for name, call in CALLS.items():
            try:
                await call(groups)
            except GroupError as error:
                said[name] = f"{type(error).__name__}: {error}"
        await groups.close()
        return said

    return asyncio.run(call_all())


def refused_in_a_child(said: dict[str, str]) -> bool:
    sentence = f"Closed: The handle belongs to process {os.getpid()}, from which this process"
    return said.keys() == CALLS.keys() and all(each.startswith(sentence) for each in said.values())


@needs_fork
@beside_threads
def test_a_child_is_refused_the_handle(path: Path) -> None:
    """Every method raises Closed in a forked child; the parent goes on, and so does a new start."""

    def child(groups: AsyncGroups) -> dict[str, str]:
        with beryl_groups.start(path) as own:
            own.create("child")
        return in_child(groups)

    async def main() -> None:
        async with aio.start(path) as groups:
            await groups.create("group")
            await groups.topics("group")
            writing = asyncio.create_task(groups.create("beside"))
            await asyncio.sleep(0)
            forked = Fork(lambda: child(groups))
            await writing
            assert refused_in_a_child(await asyncio.to_thread(forked.result))
            assert await groups.list_groups() == ["beside", "child", "group"]

    asyncio.run(main())


@needs_fork
@beside_threads
def test_a_fork_inside_a_transaction_waits_for_nothing(path: Path) -> None:
    """The loop could not end the transaction meanwhile: the child is refused the file at once."""

    def child(groups: AsyncGroups) -> dict[str, str]:
        with pytest.raises(StartFailed, match="had a transaction open"):
            beryl_groups.start(path)
        return in_child(groups)

    async def main() -> None:
        async with aio.start(path, busy_timeout=100 * PATIENCE) as groups:
            await groups.create("group")
            async with groups.transaction() as transaction:
                await transaction.add("group", "before")
                said = await asyncio.to_thread(Fork(lambda: child(groups)).result)
                await transaction.add("group", "after")
            assert refused_in_a_child(said)
            assert await groups.topics("group") == {"before", "after"}
            assert await groups.check() == []

    asyncio.run(main())
