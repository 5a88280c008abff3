"""Ends of watches of a file: what is let go of, and what nobody waits for."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Change, StorageFailed
from beryl_groups.sqlite import seen
from beryl_groups.sqlite.looks import FileLooks
from tests.contract.watching import Follower, take
from tests.processes import PATIENCE, Fork, in_thread, open_files, opened_since

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beryl_groups import Groups
    from beryl_groups.changes import Difference
    from beryl_groups.sqlite.connections import Connection


def replace(path: Path) -> None:
    path.rename(path.with_name("kept.db"))
    with beryl_groups.start(path.with_name("other.db")) as other:
        other.create("theirs")
    path.with_name("other.db").rename(path)


GONE: dict[str, Callable[[Path], object]] = {
    "moved": lambda path: path.rename(path.with_name("kept.db")),
    "deleted": lambda path: path.unlink(),
    "replaced": replace,
}


@pytest.mark.parametrize("go", GONE.values(), ids=GONE)
def test_a_file_that_was_moved_or_replaced_ends_the_watch(
    groups: Groups, path: Path, go: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    """Who iterates gets an error, a callback's end is logged, and a later watch is refused."""
    follower = Follower()
    watch, changes = groups.watch(follower), groups.watch()
    go(path)
    with pytest.raises(StorageFailed, match="moved or replaced"):
        in_thread(lambda: next(changes)).result(PATIENCE)
    watch.stop()
    with pytest.raises(StorageFailed, match="moved or replaced"):
        groups.watch()
    assert "A watch has ended: The file " in caplog.text
    assert not follower.told


def test_a_close_leaves_nothing_open(database: str) -> None:
    """Neither the file nor what was seen of it is held any longer."""
    before = open_files()
    with beryl_groups.start(database) as groups:
        groups.watch(lambda change: None)
        groups.create("team")
    assert opened_since(before) == []


def test_a_close_waits_for_who_is_about_to_let_go(
    groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that ends by itself may hold the file still: a program hung at its end."""
    lets_go, may_let_go = threading.Event(), threading.Event()
    let_go = FileLooks.close

    def let_go_later(looks: FileLooks) -> None:
        lets_go.set()
        may_let_go.wait(PATIENCE)
        let_go(looks)

    monkeypatch.setattr(FileLooks, "close", let_go_later)
    groups.watch()  # forgotten at once, so that nobody is looked for
    assert lets_go.wait(PATIENCE)
    closing = in_thread(groups.close)
    with pytest.raises(TimeoutError):
        closing.result(0.05)
    may_let_go.set()
    closing.result(PATIENCE)
    assert not [each for each in threading.enumerate() if each.name == "beryl_groups-watch"]


ENDLESS = """
    WITH RECURSIVE n(x) AS (SELECT coalesce(begin(), 1) UNION ALL SELECT x + 1 FROM n)
    SELECT count(*) FROM n
"""


@pytest.fixture
def endless_look(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have the look that comes next never end by itself, and tell when it has begun."""
    see, begun = seen.see, threading.Event()

    def see_for_ever(connection: Connection) -> Difference:
        if not begun.is_set():
            connection.create_function("begin", 0, begun.set)
            connection.execute(ENDLESS).fetchall()
        return see(connection)

    monkeypatch.setattr(seen, "see", see_for_ever)
    begun.set()
    return begun


def test_a_close_cuts_a_look_short(groups: Groups, endless_look: threading.Event) -> None:
    """However much there is to read, who closes the handle waits for nothing."""
    changes = groups.watch()
    endless_look.clear()
    groups.create("team")
    assert endless_look.wait(PATIENCE)
    in_thread(groups.close).result(PATIENCE)
    assert list(changes) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_cuts_a_look_short(groups: Groups, endless_look: threading.Event) -> None:
    """And the parent looks once more, so that nothing is missed."""
    with groups.watch() as changes:
        endless_look.clear()
        groups.create("team")
        assert endless_look.wait(PATIENCE)
        Fork(bool).result()
        assert take(changes) == [Change("created", "team")]
