"""The command line with a URL in the place of a path, or with the name of what holds the URL."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups.revisions import HEAD
from tests.commandline.running import Done, call, misuse, process, refusal, run
from tests.postgresql.roles import PASSWORD, role
from tests.postgresql.server import sql
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXPORTED = '{"group": "imported", "topics": ["a", "z\\u00e9"]}\n'

# Every command that says the same of each engine, one after the other on one database.
COMMANDS: list[tuple[str, ...]] = [
    ("create", "DB", "team:design", "team:ops", "empty"),
    ("create", "DB", "team:design"),
    ("create", "DB", "team:design", "team:new", "--if-missing"),
    ("delete", "DB", "team:new"),
    ("delete", "DB", "team:new"),
    ("delete", "DB", "team:new", "--if-exists"),
    ("add", "DB", "team:design", "room:fonts", "room:icons", "two\nlines"),
    ("add", "DB", "team:late", "room:icons", "--create"),
    ("add", "DB", "team:nobody", "room:icons"),
    ("remove", "DB", "team:design", "two\nlines", "room:none"),
    ("rename", "DB", "team:late", "team:early"),
    ("rename", "DB", "team:early", "team:ops"),
    ("set", "DB", "team:ops", "b", "a"),
    ("import", "DB", "-"),
    ("list", "DB"),
    ("list", "DB", "--prefix", "team:", "--counts"),
    ("list", "DB", "--counts", "--json"),
    ("topics", "DB", "team:design"),
    ("topics", "DB", "team:nobody"),
    ("groups-of", "DB", "room:icons", "--json"),
    ("broadcast", "DB", "team:design", "review", '{"round": 2}', "--exclude", "room:icons"),
    ("export", "DB"),
    ("check", "DB"),
    ("upgrade", "DB"),
    ("backup", "DB", "BACKUP"),
    ("backup", "DB", "BACKUP"),
    ("delete", "DB", "team:ops", "empty"),
    ("restore", "DB", "BACKUP"),
    ("list", "DB", "--counts"),
    ("restore", "DB", "/nowhere/backup.db"),
]


def outcome(command: tuple[str, ...], database: str, backup: Path) -> Done:
    words = {"DB": database, "BACKUP": str(backup)}
    done = call(*(words.get(word, word) for word in command), stdin=EXPORTED)
    said = re.sub(r"^Warning: .+\n", "", done.errors, flags=re.MULTILINE)  # of the SQLite
    return Done(done.status, done.raw.replace(database.encode(), b"DB"), said)


def test_every_command_does_with_a_url_what_it_does_with_a_path(
    database: str, tmp_path: Path
) -> None:
    """It ends with the same status and says the same, whatever the groups are kept in."""
    file = str(tmp_path / "groups.db")
    for command in COMMANDS:
        with_file = outcome(command, file, tmp_path / "of-file.db")
        with_url = outcome(command, database, tmp_path / "of-url.db")
        said = with_file.errors.replace("of-file.db", "of-url.db")
        assert (with_url.status, with_url.raw, with_url.errors) == (
            with_file.status,
            with_file.raw,
            said,
        ), command


def test_stats_tell_of_the_server(database: str) -> None:
    """There are its version, and the bytes that the tables and their indexes take."""
    run("create", database, "team")
    told = json.loads(run("stats", database, "--json").output)
    assert told["groups"] == 1
    assert told["revision"] == HEAD
    assert told["postgresql"].split(".")[0].isdigit()
    assert told["table_bytes"] > 0 < told["index_bytes"]
    assert "sqlite" not in told


def test_watch_shows_what_changes(database: str) -> None:
    """A line for each change, as with a file."""
    run("create", database, "team")
    with process("watch", database, "--once", "--json") as watching:
        assert watching.stdout is not None
        try:
            number = 0
            while watching.poll() is None:
                number += 1
                run("add", database, "team", f"room:{number}")
            told = json.loads(watching.stdout.read())
        finally:
            watching.kill()
    assert (told["kind"], told["group"]) == ("added", "team")


def test_the_demo_keeps_the_time_zones_there(database: str) -> None:
    """Its second process, which reads them back, gets the URL without a word in its arguments."""
    with process("demo", database, stderr=subprocess.STDOUT) as demo:
        assert demo.stdout is not None
        shown = demo.stdout.read().decode()
        assert demo.wait(PATIENCE) == 0, shown
    assert " opened the database, read the " in shown
    assert "psql" in shown
    assert "Europe/Berlin" in run("topics", database, "offset:+01:00").lines


@pytest.fixture
def secret(database: str) -> Iterator[str]:
    """The URL of a role that has to show its password, and may do all here."""
    with role(database, options="SUPERUSER") as url:
        yield url


def test_a_url_comes_from_the_environment(
    secret: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """env:NAME stands for what the variable holds, a URL or a path; one that lacks is told."""
    monkeypatch.setenv("DATABASE_URL", secret)
    monkeypatch.setenv("DATABASE_FILE", str(tmp_path / "groups.db"))
    monkeypatch.delenv("DATABASE_NONE", raising=False)
    for name in ("DATABASE_URL", "DATABASE_FILE"):
        run("create", f"env:{name}", "team")
        assert run("list", f"env:{name}").lines == ["team"]
    assert "no environment variable 'DATABASE_NONE'" in misuse("list", "env:DATABASE_NONE")


def test_no_password_is_shown(secret: str, tmp_path: Path) -> None:
    """Neither by what commands say, nor by what fails, nor by a handle."""
    said = run("upgrade", secret).output
    wrong = secret.replace(PASSWORD, "hunter3")
    nowhere = re.sub(r":\d+/", ":1/", secret)
    no_database = secret.rpartition("/")[0] + "/nothing"
    said += "".join(refusal("list", each) for each in (wrong, nowhere, no_database))
    said += refusal("backup", secret, tmp_path)
    said += refusal("backup", secret, secret) + refusal("restore", secret, secret)
    with beryl_groups.start(secret) as groups:
        said += repr(groups)
    assert "hunter" not in said


def test_a_command_that_reads_makes_nothing(empty_database: str) -> None:
    """A database without our tables is told of, and stays as it was."""
    for command in (("list",), ("topics", "team"), ("check",), ("stats",), ("export",)):
        assert "beryl-groups upgrade" in refusal(command[0], empty_database, *command[1:])
    assert "beryl-groups upgrade" in refusal("delete", empty_database, "team")
    assert sql(empty_database, "SELECT to_regnamespace('beryl_groups')") == [(None,)]
    run("upgrade", empty_database)
    assert run("list", empty_database).lines == []


def test_a_restore_that_fails_makes_nothing(empty_database: str, tmp_path: Path) -> None:
    """What is no sound backup is found out before there are tables in a database."""
    (tmp_path / "torn.db").write_bytes(b"SQLite format 3")
    for backup in (tmp_path / "torn.db", tmp_path / "missing.db"):
        assert f"The backup '{backup}' was not restored: " in refusal(
            "restore", empty_database, backup
        )
    assert sql(empty_database, "SELECT to_regnamespace('beryl_groups')") == [(None,)]


def test_names_are_completed_from_the_database(database: str) -> None:
    """Pressing the tab key asks the server, as it would the file."""
    run("create", database, "team:design", "team:ops")
    with process(
        _BERYL_GROUPS_COMPLETE="bash_complete",
        _BERYL_GROUPS_LINE="beryl-groups topics env:DATABASE_URL team:d",
        _BERYL_GROUPS_BREAKS=" :",
        DATABASE_URL=database,
    ) as completing:
        assert completing.stdout is not None
        assert completing.stdout.read().decode() == "plain,design\n"
