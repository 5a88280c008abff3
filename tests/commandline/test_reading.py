"""Commands that read: they make nothing, change nothing, and wait for nobody."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import GroupError, StorageFailed, revisions
from beryl_groups.commandline.database import reading
from tests.commandline.running import Done, call, filled, refusal, run
from tests.processes import PATIENCE, context, finish, start
from tests.sqlite.opening import (
    another_process,
    become_nobody,
    everything,
    folder_for_all,
    give_to_nobody,
    kill_another_process,
    run_sql,
    unprivileged,
)
from tests.sqlite.revisions import RELEASED, installed, with_next

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

EXPORTED = '{"group": "team", "topics": ["room:a", "room:b"]}\n'

READING = {
    "list": (["list"], "team\n"),
    "list --counts": (["list", "--counts"], "team\t2\n"),
    "topics": (["topics", "team"], "room:a\nroom:b\n"),
    "groups-of": (["groups-of", "room:a"], "team\n"),
    "broadcast": (["broadcast", "team", "e"], "room:a\te\tnull\nroom:b\te\tnull\n"),
    "export": (["export"], EXPORTED),
    "check": (["check"], ""),
    "stats": (["stats"], None),
}


def read(path: Path, arguments: list[str]) -> Done:
    command, *rest = arguments
    return call(command, path, *rest)


@pytest.fixture
def team(path: Path) -> Path:
    """A database of one group."""
    return filled(path, {"team": ["room:a", "room:b"]})


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_makes_no_file(name: str, path: Path) -> None:
    """Where there is no database, a command that reads says so and makes none."""
    command, *rest = READING[name][0]

    assert refusal(command, path, *rest) == (
        f"The database '{path}' cannot be opened: there is no such file."
    )
    assert refusal(command, path / "groups.db", *rest).endswith("there is no such file.")
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_changes_nothing(name: str, team: Path) -> None:
    """The file and its folder are byte for byte as they were."""
    before = everything(team.parent)
    arguments, output = READING[name]

    done = read(team, arguments)

    assert done.status == 0
    assert output in {None, done.output}
    assert everything(team.parent) == before


@pytest.fixture
def for_nobody() -> Iterator[Path]:
    """A database in a folder of its own, both of an unprivileged user."""
    with folder_for_all() as shared:
        folder = shared / "folder"
        folder.mkdir()
        path = filled(folder / "groups.db", {"team": ["room:a", "room:b"]})
        give_to_nobody(folder, path)
        yield path
        folder.chmod(0o755)


def read_everything(path: Path) -> list[Done]:
    return [read(path, arguments) for arguments, _ in READING.values()]


@pytest.mark.parametrize(
    ("folder_mode", "file_mode"),
    [(0o755, 0o444), (0o555, 0o644), (0o555, 0o444), (0o755, 0o644)],
    ids=oct,
)
def test_reading_works_on_what_may_only_be_read(
    for_nobody: Path, folder_mode: int, file_mode: int
) -> None:
    """An unprivileged user reads a file, or a folder, or both that may only be read.

    And nothing is left in the folder that was not there.
    """
    before = everything(for_nobody.parent)
    for_nobody.chmod(file_mode)
    for_nobody.parent.chmod(folder_mode)

    found = unprivileged(read_everything, for_nobody)

    assert [done.errors for done in found if done.status != 0] == []
    for done, (_, output) in zip(found, READING.values(), strict=True):
        assert output in {None, done.output}
    assert everything(for_nobody.parent) == before


def test_reading_works_beside_a_writer_that_one_may_not_be() -> None:
    """Who may only read sees what is in the WAL of a writer of another user."""
    with folder_for_all() as folder:
        path = filled(folder / "groups.db", {"team": ["room:a"]})
        path.chmod(0o644)
        folder.chmod(0o755)
        with beryl_groups.start(path) as groups:
            groups.add("team", "room:b")
            assert unprivileged(read, path, ["export"]).output == EXPORTED


def test_what_may_not_be_read_is_a_sentence() -> None:
    """A file that the user may not read, or reach, is refused with the reason."""
    with folder_for_all() as shared:
        (shared / "folder").mkdir()
        path = filled(shared / "folder" / "groups.db", {"team": []})
        assert "permission to read it is denied" in unprivileged(refusal, "list", path)
        path.parent.chmod(0o700)
        assert "permission denied" in unprivileged(refusal, "list", path)


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_does_not_wait_for_a_writer(name: str, team: Path) -> None:
    """While another process has a write under way, a command shows what was there before it."""
    arguments, output = READING[name]
    write = "UPDATE groups SET name = 'other'"
    with another_process(team, "BEGIN EXCLUSIVE", write):
        done = read(team, arguments)

    assert done.status == 0
    assert output in {None, done.output}


def test_a_reading_command_sees_what_a_killed_writer_left(team: Path) -> None:
    """What was committed before the writer was killed is shown, though it is in the WAL alone."""
    kill_another_process(team, "UPDATE groups SET name = 'renamed'")
    assert team.with_name(team.name + "-wal").stat().st_size > 0

    assert run("list", team).lines == ["renamed"]


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_migrates_nothing(
    name: str, team: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file of an older schema is left as it is: the sentence says what brings it up to date."""
    before = everything(team.parent)
    command, *rest = READING[name][0]

    package = with_next(tmp_path_factory.mktemp("migrations"), "pass")
    with installed(package):
        assert refusal(command, team, *rest) == (
            f"The database '{team}' cannot be opened: its schema has to be brought "
            f"from {RELEASED} to 9999 first, which 'beryl-groups upgrade' does."
        )

    assert everything(team.parent) == before


@pytest.mark.parametrize("command", ["create", "add", "import"])
def test_a_writing_command_migrates_nothing_either(
    command: str, team: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """There is no way back from a migration, so it is made for nobody who has not asked for it."""
    before = everything(team.parent)
    arguments = {"create": ["x"], "add": ["team", "x"], "import": ["-"]}[command]
    package = with_next(tmp_path_factory.mktemp("migrations"), "pass")
    with installed(package):
        assert "'beryl-groups upgrade'" in refusal(command, team, *arguments)

    assert everything(team.parent) == before


def test_an_empty_file_is_no_database_yet(path: Path) -> None:
    """A file without a byte has no schema to read, and `create` may use it."""
    path.touch()
    assert "has to be brought from nothing to" in refusal("list", path)
    assert "has to be brought from nothing to" in refusal("add", path, "team", "x")
    assert path.read_bytes() == b""

    run("create", path, "team")

    assert run("list", path).lines == ["team"]


@pytest.mark.parametrize("name", READING)
def test_a_newer_schema_is_refused(name: str, team: Path) -> None:
    """A file of a newer package is left alone, and its WAL too; both revisions are named."""
    kill_another_process(team, "UPDATE beryl_groups_version SET version_num = '9999'")
    before = everything(team.parent)
    command, *rest = READING[name][0]

    sentence = refusal(command, team, *rest)

    assert "9999" in sentence
    assert revisions.HEAD in sentence
    assert everything(team.parent) == before


def test_what_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    """A text, a folder, a device and a database of another application are told apart."""
    (tmp_path / "notes.txt").write_text("Buy milk. " * 100)
    run_sql(tmp_path / "other.db", "CREATE TABLE t (x)")
    os.mkfifo(tmp_path / "pipe")
    for name, reason in {
        "notes.txt": "it is no SQLite database",
        ".": "it is a folder",
        "pipe": "it is a pipe",
        "other.db": "it belongs to another application",
    }.items():
        for command in (["list"], ["create", "team"]):
            assert reason in refusal(command[0], tmp_path / name, *command[1:])


def read_slowly(pipe: Connection, path: Path) -> None:
    """Read as who may only read; tell when the file is open, and go on when asked to."""
    become_nobody()
    said = ""
    try:
        with reading(str(path)) as visit:
            pipe.send("open")
            pipe.recv()
            pipe.send(list(visit))
    except GroupError as error:
        said = f"{type(error).__name__}: {error}"
    pipe.send(said)


@pytest.mark.parametrize("written", [False, True])
def test_what_was_read_without_locks_is_not_trusted(for_nobody: Path, written: bool) -> None:
    """Where a file that may only be read was written meanwhile, the command fails.

    It has no sidecar files then, and to make some would leave them there for ever.
    """
    for_nobody.chmod(0o444)
    here, there = context.Pipe()
    process = start(read_slowly, there, for_nobody)
    there.close()
    with here:
        assert here.poll(PATIENCE)
        assert here.recv() == "open"
        if written:
            with beryl_groups.start(for_nobody) as groups:
                groups.create("meanwhile")
        here.send("go on")
        assert "team" in here.recv()
        said = here.recv()
    finish(process)
    assert said.startswith(f"{StorageFailed.__name__}: ") is written
    assert ("was written while it was" in said) is written


def test_what_is_opened_to_be_read_is_not_written(team: Path) -> None:
    """A command that reads cannot write by mistake."""
    with reading(str(team)) as visit, pytest.raises(GroupError, match="was opened to be read"):
        visit.create("x")
