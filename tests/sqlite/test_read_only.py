"""A current file that may only be read: it reads, and a write says why it cannot."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import beryl_groups
from beryl_groups import StartFailed, StorageFailed
from beryl_groups.cli import main
from tests.processes import PATIENCE, context, finish, start
from tests.sqlite.opening import (
    become_nobody,
    everything,
    folder_for_all,
    give_to_nobody,
    kill_another_process,
    unprivileged,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

CASES = [(0o755, 0o444), (0o555, 0o644), (0o555, 0o444)]


@pytest.fixture
def current() -> Iterator[Path]:
    """A current file in a folder of its own, which is the unprivileged user's."""
    with folder_for_all() as shared:
        folder = shared / "folder"
        folder.mkdir()
        path = folder / "groups.db"
        with beryl_groups.start(path) as groups:
            groups.create("team")
            groups.add("team", "room:a", "room:b")
        give_to_nobody(folder, path)
        yield path
        folder.chmod(0o755)


def read_everything(path: Path) -> list[object]:
    """Call each method that reads, twice: the second time a connection may be at hand."""
    with beryl_groups.start(path) as groups:
        return [
            (list(groups), len(groups), groups.topics("team"), groups.groups_of("room:a"))
            for _ in range(2)
        ] + [groups.check()]


def write_in_vain(path: Path) -> list[str]:
    """Return what each way to write raises, and see that reading goes on."""
    said = []
    with beryl_groups.start(path) as groups:
        for _ in range(2):
            with pytest.raises(StorageFailed) as caught:
                groups.create("late")
            said.append(str(caught.value))
        with pytest.raises(StorageFailed) as caught, groups.transaction() as transaction:
            transaction.add("team", "room:late")
        said.append(str(caught.value))
        assert groups.topics("team") == {"room:a", "room:b"}
        assert list(groups) == ["team"]
    return said


def write(path: Path) -> list[str]:
    with beryl_groups.start(path) as groups:
        groups.create("late")
        return list(groups)


@pytest.mark.parametrize(("folder_mode", "file_mode"), CASES, ids=oct)
def test_a_file_that_may_only_be_read_is_read(
    current: Path, folder_mode: int, file_mode: int
) -> None:
    """Every method that reads works where the file, its folder or both may only be read."""
    current.chmod(file_mode)
    current.parent.chmod(folder_mode)
    before = current.read_bytes()
    first, second, problems = unprivileged(read_everything, current)
    assert first == second == (["team"], 1, {"room:a", "room:b"}, ["team"])
    assert problems == []
    assert current.read_bytes() == before


@pytest.mark.parametrize(("folder_mode", "file_mode"), CASES, ids=oct)
def test_a_write_where_only_reading_is_allowed_fails(
    current: Path, folder_mode: int, file_mode: int
) -> None:
    """Each write raises `StorageFailed`, which names the file and says that it may only be read."""
    current.chmod(file_mode)
    current.parent.chmod(folder_mode)
    before = current.read_bytes()
    said = unprivileged(write_in_vain, current)
    assert all(repr(str(current)) in sentence for sentence in said), said
    assert all("may only be read" in sentence for sentence in said), said
    assert current.read_bytes() == before


def write_when_allowed(path: Path) -> list[str]:
    with beryl_groups.start(path) as groups:
        with pytest.raises(StorageFailed):
            groups.create("early")
        path.chmod(0o600)
        groups.create("late")
        return list(groups)


def test_the_next_write_works_once_the_file_may_be_written(current: Path) -> None:
    """A handle that was refused a write has the next one, as soon as that is allowed."""
    current.chmod(0o444)
    assert unprivileged(write_when_allowed, current) == ["late", "team"]


@pytest.mark.parametrize(("folder_mode", "file_mode"), CASES, ids=oct)
def test_a_file_that_may_be_written_again_is_written(
    current: Path, folder_mode: int, file_mode: int
) -> None:
    """A visit that could only read leaves nothing that keeps a later one from writing."""
    current.chmod(file_mode)
    current.parent.chmod(folder_mode)
    unprivileged(read_everything, current)
    current.parent.chmod(0o755)
    current.chmod(0o600)
    assert unprivileged(write, current) == ["late", "team"]


def refused(path: Path) -> str:
    with pytest.raises(StartFailed) as caught:
        beryl_groups.start(path)
    return str(caught.value)


def test_a_file_is_not_read_past_a_journal_that_may_not_be_played_back(current: Path) -> None:
    """Half a write of a killed process is never taken for what the file holds."""
    half_a_write = (
        "PRAGMA journal_mode = DELETE",
        "PRAGMA cache_size = 0",
        "BEGIN IMMEDIATE",
        "INSERT INTO groups (name) VALUES " + ", ".join(f"('{n:0900}')" for n in range(100)),
    )
    kill_another_process(current, *half_a_write)
    journal = current.with_name("groups.db-journal")
    assert journal.stat().st_size > 0
    current.chmod(0o444)
    journal.chmod(0o444)
    current.parent.chmod(0o555)
    before = current.read_bytes(), journal.read_bytes()
    assert "may only be read" in unprivileged(refused, current)
    assert (current.read_bytes(), journal.read_bytes()) == before


def pull_out(path: Path) -> None:
    """Leave a file and a WAL with commits, as on a card that is pulled out, for reading only."""
    with beryl_groups.start(path) as groups:
        groups.create("late")
        left = {name: path.with_name(name).read_bytes() for name in ("groups.db", "groups.db-wal")}
    for name, content in left.items():
        path.with_name(name).write_bytes(content)
    give_to_nobody(*(path.with_name(name) for name in left))
    path.parent.chmod(0o555)


def list_by_command(path: Path) -> str:
    return CliRunner().invoke(main, ["list", str(path)]).output


def test_a_wal_that_only_a_writer_could_read_is_named_with_the_way_out(current: Path) -> None:
    """Nothing is read past it; once both are copied to where one may write, all is there."""
    pull_out(current)
    before = everything(current.parent)
    for said in (unprivileged(refused, current), unprivileged(list_by_command, current)):
        assert "'groups.db-wal' beside it may hold commits" in said
        assert "copy both to a folder where it is" in said
    assert everything(current.parent) == before

    elsewhere = current.parent.with_name("elsewhere")
    shutil.copytree(current.parent, elsewhere)
    elsewhere.chmod(0o755)
    give_to_nobody(elsewhere, *elsewhere.iterdir())
    assert unprivileged(names, elsewhere / "groups.db") == ["late", "team"]


def names(path: Path) -> list[str]:
    with beryl_groups.start(path) as groups:
        return list(groups)


def watch(pipe: Connection, path: Path) -> None:
    """Send the names of the groups at once, and again whenever asked."""
    become_nobody()
    with beryl_groups.start(path) as groups:
        pipe.send(list(groups))
        while pipe.poll(PATIENCE) and pipe.recv() == "again":
            pipe.send(list(groups))


def test_a_reader_sees_what_a_privileged_writer_writes() -> None:
    """Who may only read the file, the folder and the sidecars sees every commit of a writer."""
    with folder_for_all() as folder:
        path = folder / "groups.db"
        path.touch()
        path.chmod(0o644)
        folder.chmod(0o755)
        with beryl_groups.start(path) as groups:
            groups.create("a")
            here, there = context.Pipe()
            process = start(watch, there, path)
            there.close()
            with here:
                assert here.poll(PATIENCE)
                assert here.recv() == ["a"]
                groups.create("b")
                here.send("again")
                assert here.poll(PATIENCE)
                assert here.recv() == ["a", "b"]
                here.send("enough")
            finish(process)
