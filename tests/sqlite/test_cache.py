"""The cache: what is answered from memory, what is not, and how much memory that takes."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Closed, Groups
from beryl_groups.sqlite import connections
from tests import processes
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Statements:
    """What the connections of this process have been asked to do with the tables."""

    def __init__(self) -> None:
        self._seen: list[str] = []

    def watch(self, connection: connections.Connection) -> None:
        connection.set_trace_callback(self._seen.append)

    def of(self, call: Callable[[], object]) -> list[str]:
        """Make a call and return the statements that it ran on the tables."""
        self._seen.clear()
        call()
        return [sql for sql in self._seen if "group" in sql]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """Every connection that is opened from here on is watched."""
    watcher = Statements()
    sound = connections.open_connection

    def open_connection(*arguments: Any) -> connections.Connection:
        connection = sound(*arguments)
        watcher.watch(connection)
        return connection

    monkeypatch.setattr(connections, "open_connection", open_connection)
    return watcher


@pytest.fixture
def groups(statements: Statements, path: Path) -> Iterator[Groups]:
    """A watched handle on a new file with two groups that share a topic."""
    with beryl_groups.start(path, synchronous="normal") as handle:
        for name in ("team", "crew"):
            handle.create(name)
            handle.add(name, "shared", f"only {name}")
        yield handle


def reached(groups: Groups, *names: str) -> list[str]:
    topics: list[str] = []
    group = names[0] if len(names) == 1 else names
    groups.broadcast(lambda topic, event, payload: topics.append(topic), group, "event", None)
    return topics


READS: dict[str, Callable[[Groups], Any]] = {
    "topics": lambda groups: groups.topics("team"),
    "groups_of": lambda groups: groups.groups_of("shared"),
    "groups_of another": lambda groups: groups.groups_of("new"),
    "contains": lambda groups: "team" in groups,
    "contains another": lambda groups: "new" in groups,
    "len": len,
    "iter": list,
    "list_groups": lambda groups: groups.list_groups("c", limit=5),
    "broadcast": lambda groups: reached(groups, "team"),
    "broadcast to nobody": lambda groups: reached(groups, "new"),
    "broadcast to several": lambda groups: reached(groups, "team", "crew", "new"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_repeated_read_does_not_touch_the_tables(
    groups: Groups, statements: Statements, read: Callable[[Groups], object]
) -> None:
    """The first call asks the file, the next ones give the same from memory."""
    answers: list[object] = []
    assert statements.of(lambda: answers.append(read(groups)))
    for _ in range(3):
        assert not statements.of(lambda: answers.append(read(groups)))
    assert answers == answers[:1] * 4


def many_changes(groups: Groups) -> None:
    with groups.transaction() as transaction:
        for number in range(1100):
            transaction.add("team", f"topic {number}")
        transaction.rename("crew", "new")
        transaction.add("new", "new")


WRITES: dict[str, Callable[[Groups], object]] = {
    "create": lambda groups: groups.create("new"),
    "delete": lambda groups: groups.delete("team"),
    "rename": lambda groups: groups.rename("team", "new"),
    "add": lambda groups: groups.add("team", "new"),
    "add many": lambda groups: groups.add("team", "new", *map(str, range(200))),
    "remove": lambda groups: groups.remove("team", "shared"),
    "remove many": lambda groups: groups.remove("team", "shared", *map(str, range(200))),
    "set_topics": lambda groups: groups.set_topics("team", ["new"]),
    "a transaction": many_changes,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_no_answer_outlives_an_own_write(
    groups: Groups, path: Path, write: Callable[[Groups], object]
) -> None:
    """After each writing method, what was kept before agrees with what a new handle reads."""
    for read in READS.values():
        read(groups)
    write(groups)
    with beryl_groups.start(path) as fresh:
        for name, read in READS.items():
            if name != "topics" or "team" in fresh:
                assert read(groups) == read(fresh), name
    with pytest.raises(beryl_groups.NotFound):
        groups.topics("nobody")


def test_an_own_write_leaves_what_it_does_not_touch(groups: Groups, statements: Statements) -> None:
    """The answers of other groups stay in memory; those of the group are read again."""
    for read in READS.values():
        read(groups)
    groups.topics("crew")
    groups.add("team", "new")
    for untouched in (lambda: groups.topics("crew"), lambda: len(groups), lambda: list(groups)):
        assert not statements.of(untouched)
    assert statements.of(lambda: groups.topics("team"))
    assert groups.topics("team") == {"shared", "only team", "new"}


def test_a_rollback_leaves_the_answers(groups: Groups, statements: Statements) -> None:
    """A transaction that comes to nothing drops nothing and adds nothing."""
    before = groups.topics("team")
    with pytest.raises(ZeroDivisionError), groups.transaction() as transaction:  # noqa: PT012
        transaction.add("team", "new")
        assert "new" in transaction.topics("team")
        assert groups.topics("team") == before
        raise ZeroDivisionError
    assert not statements.of(lambda: groups.topics("team"))
    assert groups.topics("team") == before


def add_in_another_process(path: Path) -> None:
    with beryl_groups.start(path) as groups:
        groups.add("team", "from afar")


def test_a_commit_of_another_process_drops_everything(
    groups: Groups, statements: Statements, path: Path
) -> None:
    """Nothing is answered from memory after it, and what is read then is kept again."""
    for read in READS.values():
        read(groups)
    processes.finish(processes.start(add_in_another_process, path))
    assert statements.of(lambda: groups.topics("crew") if "crew" in groups else None)
    assert groups.topics("team") == {"shared", "only team", "from afar"}
    for read in READS.values():
        read(groups)
    for name, read in READS.items():
        assert not statements.of(lambda read=read: read(groups)), name  # type: ignore[misc]


def test_lists_are_copies_and_frozensets_are_shared(groups: Groups) -> None:
    """What a caller does to an answer does not show in the next; what nobody can change is one."""
    for read in (list, READS["groups_of"], READS["list_groups"]):
        answer = read(groups)
        answer.append("mine")
        assert "mine" not in read(groups)
    assert groups.topics("team") is groups.topics("team")


def test_what_is_kept_holds_no_old_state_of_the_file(groups: Groups, path: Path) -> None:
    """A handle that answers from memory has no read under way: the WAL can be emptied."""
    groups.topics("team")
    groups.topics("team")
    (busy, *_) = processes.shell(path, "PRAGMA wal_checkpoint(TRUNCATE)").split("|")
    assert busy == "0"


def test_a_closed_handle_does_not_answer_from_memory(groups: Groups) -> None:
    """Every read is refused, also one whose answer was kept."""
    for read in READS.values():
        read(groups)
    groups.close()
    for read in READS.values():
        with pytest.raises(Closed):
            read(groups)


def refuses_all_reads(groups: Groups) -> bool:
    signal.alarm(30)  # it may hang, and has no one to end it
    for read in READS.values():
        with suppress(Closed):
            read(groups)
            return False
    return True


def fork(groups: Groups) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0 if refuses_all_reads(groups) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert groups.topics("team") == {"shared", "only team"}


def fork_at_rest(path: Path) -> None:
    with beryl_groups.start(path) as groups:
        for read in READS.values():
            read(groups)
        fork(groups)


def fork_during_a_transaction_and_a_look(path: Path) -> None:
    with beryl_groups.start(path, busy_timeout=0.01) as groups:
        for read in READS.values():
            read(groups)
        looking, forked = threading.Event(), threading.Event()

        def look() -> None:
            with groups.transaction(), store(groups).cache._lock:
                looking.set()
                forked.wait()

        thread = threading.Thread(target=look)
        thread.start()
        looking.wait()
        child = os.fork()
        if child == 0:
            os._exit(0 if refuses_all_reads(groups) else 1)
        forked.set()
        thread.join()
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        fork(groups)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("scene", [fork_at_rest, fork_during_a_transaction_and_a_look])
def test_a_forked_child_does_not_answer_from_memory(
    groups: Groups, path: Path, scene: Callable[[Path], None]
) -> None:
    """It is refused at once, whatever the threads of the parent were doing; the parent goes on."""
    groups.close()
    processes.finish(processes.start(scene, path))
