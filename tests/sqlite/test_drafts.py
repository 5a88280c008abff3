"""What a killed process leaves of a backup or a restore, and who removes it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups.sqlite import drafts
from tests.contract.copies import made, names_in
from tests.processes import PATIENCE, context, finish, finish_killed, start
from tests.torture.storage import missing, preloaded, scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path


def hold(there: Connection, path: Path) -> None:
    """Be in the middle of making a draft until told to go on, or killed."""
    with drafts.draft_beside(path) as draft:
        draft.with_name(f"{draft.name}-journal").touch()
        there.send(draft.name)
        there.poll(None)


def backup(path: Path) -> None:
    with beryl_groups.start(path) as groups:
        groups.backup(path.with_name("new.db"))


def restore(path: Path) -> None:
    with beryl_groups.start(path) as groups:
        groups.restore(path.with_name("copy.db"))


@pytest.mark.parametrize("call", [backup, restore])
def test_a_draft_that_nobody_works_at_is_removed(path: Path, call: Callable[[Path], None]) -> None:
    """The next backup or restore takes it away, and leaves that of a process which goes on."""
    made(path.with_name("copy.db"), {"team": {"a"}})
    pipes = [context.Pipe() for _ in range(2)]
    living, killed = [start(hold, there, path) for _, there in pipes]
    names = []
    for here, there in pipes:
        there.close()
        assert here.poll(PATIENCE)
        names.append(here.recv())
    killed.kill()
    finish_killed(killed)
    assert all(name.startswith(".beryl-groups-draft-") for name in names)
    assert names[1] in names_in(path.parent)

    call(path)

    left = {name for name in names_in(path.parent) if name.startswith(".")}
    assert left == {names[0] + ending for ending in ("", "-journal", "-lock")}
    pipes[0][0].close()
    finish(living)
    assert not [name for name in names_in(path.parent) if name.startswith(".")]


def back_up_and_die(path: Path) -> None:
    """Be killed when the draft has the name of the copy as well as its own."""

    def link(source: Path, target: Path) -> None:
        real_link(source, target)
        os.kill(os.getpid(), signal.SIGKILL)

    real_link, os.link = os.link, link  # type: ignore[assignment]
    backup(path)


def test_a_copy_whose_process_was_killed_at_the_last_opens_at_once(path: Path) -> None:
    """The name that it had as a draft goes, and is no second name that has it refused."""
    made(path, {"team": {"a"}})
    process = start(back_up_and_die, path)
    finish_killed(process)
    copy = path.with_name("new.db")
    assert copy.stat().st_nlink == 2

    with beryl_groups.start(copy) as groups:
        assert groups.topics("team") == {"a"}

    assert copy.stat().st_nlink == 1
    assert not [name for name in names_in(path.parent) if name.startswith(".")]


@pytest.mark.skipif(missing() is not None, reason=missing() or "it can be watched")
def test_a_draft_that_cannot_be_removed_is_no_failure() -> None:
    """What was restored is restored, and the draft is removed by the next one."""
    with (
        scratch() as folder,
        preloaded(
            folder, None, "tests.sqlite.failing_restore", "unremoved", str(folder)
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.read().splitlines() == ["['restored'] 2", "['restored'] 0"]
