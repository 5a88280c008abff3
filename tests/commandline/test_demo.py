"""The demo: real input, a real restart, and nobody's groups lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import GroupError, Groups, InvalidName, demo
from beryl_groups.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

MODULE = (sys.executable, "-m", "beryl_groups")
SCRIPT = (str(Path(sys.executable).with_name("beryl-groups")),)


def run(
    folder: Path, *command: str, status: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == status, done.stderr
    return done


def contents(path: Path) -> dict[str, frozenset[str]]:
    with beryl_groups.start(path) as groups:
        return {name: groups.topics(name) for name in groups}


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the sentence with which the command line refuses."""
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    assert exit_.value.code == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    return errors.removeprefix("Error: ").removesuffix("\n")


def test_the_demo_fills_restarts_reads_and_broadcasts(tmp_path: Path) -> None:
    """The demo puts all time zones into a new file, and another process reads and broadcasts."""
    output = run(tmp_path, *MODULE, "demo").stdout

    held = contents(tmp_path / "groups-demo.db")
    zones = zoneinfo.available_timezones() - {"localtime"}
    assert frozenset().union(*held.values()) == zones
    assert held["region:Europe"] == {zone for zone in zones if zone.startswith("Europe/")}
    assert "Europe/Berlin" in held["offset:+01:00"]
    first, second = map(int, re.findall(r"^Process (\d+) ", output, re.MULTILINE))
    assert first != second
    delivered = re.findall(r"^  (\S+) new_year 2025$", output, re.MULTILINE)
    assert delivered == sorted(held["offset:+05:30"])
    assert delivered
    assert output.endswith(
        f"{len(held)} groups of {len(zones)} time zones are in the file groups-demo.db.\n"
    )


def test_a_second_run_takes_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without DATABASE the demo leaves alone whatever has the name that it would have taken."""
    monkeypatch.chdir(tmp_path)
    Path("groups-demo.db").write_text("mine")
    Path("groups-demo-2.db").symlink_to("nowhere")

    main(["demo"], standalone_mode=False)

    assert capfd.readouterr().out.endswith("are in the file groups-demo-3.db.\n")
    assert Path("groups-demo.db").read_text() == "mine"
    assert not Path("nowhere").exists()


@pytest.mark.slow
def test_what_a_database_holds_is_kept_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """In a file of the user's own, by command or by module, the demo only adds, and only once."""
    path = tmp_path / "my groups.db"
    with beryl_groups.start(path) as groups:
        groups.create("team:engineering")
        groups.add("team:engineering", "room:frontend")
        groups.create("region:Europe")
        groups.add("region:Europe", "room:brussels")

    run(tmp_path, *SCRIPT, "demo", "my groups.db")
    once = contents(path)
    run(tmp_path, *MODULE, "demo", str(path))

    assert once["team:engineering"] == {"room:frontend"}
    assert {"room:brussels", "Europe/Berlin"} < once["region:Europe"]
    assert contents(path) == once
    assert list(tmp_path.iterdir()) == [tmp_path / "my groups.db"]


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs the sqlite3 shell")
def test_the_line_for_the_shell_shows_what_was_broadcast(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The sqlite3 line that the demo prints can be pasted into a shell and shows the topics."""
    path = tmp_path / "it's $mine.db"
    main(["demo", str(path)], standalone_mode=False)
    output = capfd.readouterr().out
    (line,) = re.findall("^  (sqlite3 .+)$", output, re.MULTILINE)

    shown = run(tmp_path, "bash", "-c", line).stdout

    assert shown.splitlines() == sorted(contents(path)["offset:+05:30"])


def test_it_is_one_transaction(groups: Groups) -> None:
    """What fails half way through leaves no group behind."""
    with pytest.raises(InvalidName):
        demo.fill(groups, {"region:Europe": {"Europe/Berlin"}, "region:Nowhere": {""}})

    assert list(groups) == []


def test_lost_topics_are_noticed(path: Path, groups: Groups) -> None:
    """The second process compares: a topic that is missing is an error that names its group."""
    demo.fill(groups, demo.time_zone_groups())
    groups.remove("region:Europe", "Europe/Berlin")

    with pytest.raises(GroupError, match="'region:Europe' has lost topics"):
        demo.read_back(str(path))


def test_time_zones_come_from_tzdata_where_the_system_has_none(tmp_path: Path) -> None:
    """On a system without zone files the demo runs on the tzdata package."""
    output = run(tmp_path, *MODULE, "demo", PYTHONTZPATH="").stdout

    assert output.endswith("are in the file groups-demo.db.\n")


def test_a_machine_without_time_zones_is_told_what_to_install(tmp_path: Path) -> None:
    """With neither zone files nor tzdata the demo names the extra, and makes no file."""
    (tmp_path / "tzdata").mkdir()
    (tmp_path / "tzdata" / "__init__.py").touch()  # hides the one that is installed

    done = run(tmp_path, *MODULE, "demo", status=1, PYTHONTZPATH="")

    assert done.stdout == ""
    assert done.stderr == (
        'Error: This system has no time zone data for the demo: pip install "beryl_groups[demo]".\n'
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "tzdata"]


def a_text_file(folder: Path) -> str:
    (folder / "notes.txt").write_text("Buy milk. " * 100)
    return str(folder / "notes.txt")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (a_text_file, "The database '{}' cannot be opened: it is no SQLite database"),
        (lambda folder: f"{folder}/no/x.db", "The database '{}' cannot be opened: there is no fol"),
        (lambda folder: ":memory:", "A database in memory ends with its process: name a file"),
        (lambda folder: "mysql://host/x", "The database '{}' cannot be opened: 'mysql' is not sup"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(
    make: Callable[[Path], str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A database that cannot be used is one sentence on standard error, status 1, no change."""
    database = make(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    assert refusal(capsys, "demo", database).startswith(sentence.format(database))

    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_second_process_that_fails_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where the second process refuses, its sentence is the only one, and the status is 1."""
    (tmp_path / "tzdata").mkdir()
    (tmp_path / "tzdata" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONTZPATH", "")  # this process has read it already

    with pytest.raises(SystemExit) as exit_:
        main(["demo", "groups.db"])

    output, errors = capfd.readouterr()
    assert exit_.value.code == 1
    assert output.count("\n") == 1
    assert re.fullmatch("Error: This system has no time zone data .+\n", errors)


def test_a_frozen_program_starts_itself_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a program without a Python of its own, the program is what reads the file back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", *SCRIPT)
    monkeypatch.setattr(sys, "argv", ["program", "demo"])

    main(["demo"], standalone_mode=False)

    assert " opened the file, read the " in capfd.readouterr().out


def test_a_frozen_program_that_is_another_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody knows what it would do when it is started so: there is a sentence, and no file."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "argv", ["program"])

    assert refusal(capsys, "demo", str(tmp_path / "groups.db")) == (
        "The demo starts its program twice, and this one is not beryl-groups."
    )
    assert not [*tmp_path.iterdir()]
