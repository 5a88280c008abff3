"""Backup, check, upgrade and stats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import WalResetWarning, revisions, sqlite
from beryl_groups.sqlite import faults
from tests.commandline.running import call, filled, refusal, run
from tests.processes import shell
from tests.sqlite.opening import another_process, everything, revision_of, run_sql
from tests.sqlite.revisions import NEXT, RELEASED, installed, with_next

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAL_RESET = f"Warning: SQLite {sqlite.driver.sqlite_version} has a fault"


@pytest.fixture
def team(path: Path) -> Path:
    """A database of two groups."""
    return filled(path, {"team": ["room:a", "room:b"], "ops": ["room:a"]})


@pytest.fixture
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A package with one revision more than the files have."""
    package = with_next(
        tmp_path_factory.mktemp("migrations"), "op.execute('CREATE TABLE next (x INTEGER)')"
    )
    with installed(package):
        yield


def test_a_backup_is_a_copy(team: Path, tmp_path: Path) -> None:
    """`backup` makes a file that holds the same, while another process has a write under way."""
    with another_process(team, "BEGIN IMMEDIATE", "DELETE FROM groups"):
        run("backup", team, tmp_path / "copy.db")

    assert run("export", tmp_path / "copy.db").raw == run("export", team).raw
    assert call("check", tmp_path / "copy.db").status == 0


def test_a_backup_overwrites_nothing(team: Path, tmp_path: Path) -> None:
    """What has the name already is left alone, be it the database itself."""
    (tmp_path / "copy.db").write_text("mine")

    for target in (tmp_path / "copy.db", team):
        assert refusal("backup", team, target) == (
            f"The backup '{target}' was not made: there is something of that name already."
        )
    assert (tmp_path / "copy.db").read_text() == "mine"


def test_a_backup_of_nothing_makes_nothing(path: Path, tmp_path: Path) -> None:
    """Where there is no database, none is made, nor a copy."""
    assert refusal("backup", path, tmp_path / "copy.db").endswith("there is no such file.")
    assert list(tmp_path.iterdir()) == []


def test_an_old_database_can_be_backed_up(team: Path, tmp_path: Path, newer: None) -> None:
    """A copy before an upgrade is a copy of the old revision."""
    run("backup", team, tmp_path / "copy.db")

    assert revision_of(tmp_path / "copy.db") == [(RELEASED,)]


def test_a_backup_is_restored(team: Path, tmp_path: Path) -> None:
    """`restore` puts back what a backup holds, beside others, and makes a file that is missing."""
    run("backup", team, tmp_path / "copy.db")
    exported = run("export", team).raw
    run("delete", team, "team")
    with beryl_groups.start(team) as groups:
        assert run("restore", team, tmp_path / "copy.db").raw == b""
        assert "team" in groups
    run("restore", tmp_path / "new.db", tmp_path / "copy.db")

    assert run("export", team).raw == run("export", tmp_path / "new.db").raw == exported


def test_what_is_no_backup_is_not_restored(team: Path, tmp_path: Path) -> None:
    """A sentence says why; a database that is there stays as it was, and none is made."""
    (tmp_path / "copy.db").write_text("mine" * 100)
    before = everything(tmp_path)

    for database in (team, tmp_path / "new.db"):
        for backup in (tmp_path / "copy.db", tmp_path / "missing.db"):
            said = refusal("restore", database, backup)
            assert said.startswith(f"The backup '{backup}' was not restored: ")
    assert refusal("restore", tmp_path / "nowhere" / "x.db", team).startswith("The database ")
    assert everything(tmp_path) == before


def test_an_old_backup_is_restored(team: Path, tmp_path: Path, newer: None) -> None:
    """A backup of an older revision does; a database of one is upgraded first."""
    run("backup", team, tmp_path / "copy.db")

    assert "'beryl-groups upgrade'" in refusal("restore", team, tmp_path / "copy.db")
    run("restore", tmp_path / "new.db", tmp_path / "copy.db")
    assert run("list", tmp_path / "new.db").lines == ["ops", "team"]
    assert revision_of(tmp_path / "copy.db") == [(RELEASED,)]


def test_a_sound_database_has_no_problems(team: Path) -> None:
    """`check` prints nothing on standard output and ends with 0."""
    for arguments, output in ([], ""), (["--json"], "[]\n"):
        done = call("check", team, *arguments)
        assert (done.status, done.output) == (0, output)


def test_what_is_wrong_is_printed_and_ends_with_1(team: Path) -> None:
    """`check` prints a line for each problem, or an array of them."""
    shell(team, "DELETE FROM groups WHERE name = 'team'")
    shell(team, "INSERT INTO groups (name) VALUES (''), ('two' || char(10) || 'lines')")

    done = call("check", team)

    assert done.status == 1
    assert [line[:35] for line in done.lines] == [
        "A group was deleted without its top",
        "The name of a group breaks the rule",
    ]
    assert json.loads(call("check", team, "--json").raw) == done.lines


def test_damage_is_a_line_too(team: Path) -> None:
    """`check` shows what the library finds in a damaged file, a line for each problem."""
    filled_bytes = bytearray(team.read_bytes())
    page = int.from_bytes(filled_bytes[16:18], "big")
    ((root,),) = run_sql(team, "SELECT rootpage FROM sqlite_schema WHERE name = 'group_topics'")
    filled_bytes[(root - 1) * page : root * page] = b"\x55" * page
    team.write_bytes(filled_bytes)

    done = call("check", team)

    assert done.status == 1
    with beryl_groups.start(team) as groups:
        problems = groups.check()
    assert problems
    assert done.lines == problems


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ("3.6.23", False),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
    ],
)
def test_the_wal_reset_fault_is_a_warning_that_does_not_count(
    team: Path, version: str, has_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SQLite with the known fault gets a sentence on standard error, and the status stays."""
    parts = tuple(map(int, version.split(".")))
    monkeypatch.setattr(sqlite.driver, "sqlite_version_info", parts)
    monkeypatch.setattr(sqlite.driver, "sqlite_version", version)

    done = call("check", team)

    assert (done.status, done.output) == (0, "")
    if has_it:
        (warning,) = faults.known_faults()
        assert isinstance(warning, WalResetWarning)
        assert done.errors == f"Warning: {warning}\n"
    else:
        assert done.errors == ""


def test_an_upgrade_says_from_what_to_what(team: Path, newer: None) -> None:
    """`upgrade` migrates, and names the revision that the file had and the one that it has."""
    done = run("upgrade", team)

    assert done.output == f"The database '{team}' has been upgraded from {RELEASED} to {NEXT}.\n"
    assert run("list", team).lines == ["ops", "team"]
    assert run("upgrade", team).output == (
        f"The database '{team}' has the newest revision already, {NEXT}.\n"
    )


def test_an_upgrade_makes_a_backup_first(team: Path, tmp_path: Path, newer: None) -> None:
    """With `--backup` the file as it was is kept, and without a backup there is no upgrade."""
    copy = tmp_path / "copy.db"
    copy.touch()
    before = everything(tmp_path)
    assert "was not made" in refusal("upgrade", team, "--backup", copy)
    assert everything(tmp_path) == before
    copy.unlink()

    run("upgrade", team, "--backup", copy)

    assert revision_of(copy) == [(RELEASED,)]
    assert revision_of(team) == [(NEXT,)]


def test_an_upgrade_that_fails_is_a_sentence(
    team: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A migration that fails leaves the file as it was, and says which migration it was."""
    before = everything(team.parent)
    package = with_next(tmp_path_factory.mktemp("migrations"), "op.execute('nonsense')")
    with installed(package):
        sentence = refusal("upgrade", team)

    assert f"the migration from {RELEASED} to {NEXT} failed" in sentence
    assert everything(team.parent) == before


def test_an_upgrade_makes_no_database(path: Path) -> None:
    """A missing file is refused; an empty one becomes a database."""
    assert refusal("upgrade", path).endswith("there is no such file.")
    assert not path.exists()
    path.touch()
    assert run("upgrade", path).output == (
        f"The database '{path}' has been upgraded from nothing to {revisions.HEAD}.\n"
    )


def test_stats_count(team: Path) -> None:
    """`stats` shows each figure on a line, a tab after its name."""
    lines = run("stats", team).lines

    assert lines == [
        "groups\t2",
        "topics\t2",
        "memberships\t3",
        f"file bytes\t{team.stat().st_size}",
        "wal bytes\t0",
        f"revision\t{revisions.HEAD}",
        f"sqlite\t{sqlite.driver.sqlite_version}",
        "largest\tteam\t2",
        "largest\tops\t1",
    ]


def test_stats_in_json(path: Path) -> None:
    """The same figures in JSON; the largest groups are ten, and orphaned rows do not count."""
    filled(path, {f"g{number:02}": [f"t{n}" for n in range(number)] for number in range(12)})
    with beryl_groups.start(path) as groups:
        shell(path, "DELETE FROM groups WHERE name = 'g11'")

        found = json.loads(run("stats", path, "--json").raw)

        assert found.pop("wal_bytes") > 0
        assert len(groups) == 11
    assert found == {
        "groups": 11,
        "topics": 10,
        "memberships": sum(range(11)),
        "file_bytes": path.stat().st_size,
        "revision": revisions.HEAD,
        "sqlite": sqlite.driver.sqlite_version,
        "largest": [{"group": f"g{n:02}", "count": n} for n in range(10, 0, -1)],
    }
