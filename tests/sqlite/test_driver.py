"""Which SQLite is used: pysqlite3's where it is installed, and one alone in a process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from beryl_groups import sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]

IS_INSTALLED = importlib.util.find_spec("pysqlite3") is not None

WITHOUT_PYSQLITE3 = """
import sys
sys.modules["pysqlite3"] = None
"""
LIFE = """
import sys
from click.testing import CliRunner
import beryl_groups
from beryl_groups import cli
with beryl_groups.start(sys.argv[1]) as groups:
    groups.create("team")
    groups.add("team", "topic")
    groups.check()
    groups.backup(sys.argv[1] + "-copy")
for command in ("check", "stats", "upgrade"):
    assert CliRunner().invoke(cli.main, [command, sys.argv[1]]).exit_code == 0
"""
ALEMBIC = """
import sys
from alembic.config import main
main(["-x", f"database={sys.argv[1]}", "upgrade", "head"])
"""
LOADED = """
print("loaded:", *sorted({"_sqlite3", "pysqlite3._sqlite3"} & set(sys.modules)))
"""


def loaded_by(code: str, path: Path) -> str:
    """Run code on a database in a Python of its own, and say which copies of SQLite it loaded."""
    # Measuring coverage loads Python's own, for a file of its own.
    environment = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code + LOADED, path],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.rpartition("loaded: ")[2].strip()


def test_pysqlite3_is_used_where_it_is_installed() -> None:
    """The package reads and writes with pysqlite3, and without it with Python's own module."""
    assert sqlite.driver.__name__ == ("pysqlite3.dbapi2" if IS_INSTALLED else "sqlite3")


@pytest.mark.slow
@pytest.mark.parametrize("code", [LIFE, ALEMBIC], ids=["package", "alembic"])
def test_one_sqlite_does_everything(code: str, path: Path) -> None:
    """No part of the package, and none of what it uses, loads a second SQLite."""
    assert loaded_by(code, path) == ("pysqlite3._sqlite3" if IS_INSTALLED else "_sqlite3")


@pytest.mark.slow
@pytest.mark.parametrize("code", [LIFE, ALEMBIC], ids=["package", "alembic"])
def test_where_there_is_no_pysqlite3_it_is_pythons_own(code: str, path: Path) -> None:
    """Where pysqlite3 cannot be imported, everything goes through ``sqlite3``."""
    assert loaded_by(WITHOUT_PYSQLITE3 + code, path) == "_sqlite3"


X86_LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}


@pytest.mark.parametrize(
    ("platform", "brings_it"),
    [
        ({}, True),
        ({"platform_machine": "aarch64"}, False),
        ({"implementation_name": "pypy"}, False),
        ({"sys_platform": "darwin", "platform_machine": "arm64"}, True),
        ({"sys_platform": "darwin"}, False),
        ({"sys_platform": "win32", "platform_machine": "AMD64"}, True),
        ({"sys_platform": "win32", "platform_machine": "x86"}, True),
        ({"sys_platform": "win32", "platform_machine": "ARM64"}, False),
    ],
)
def test_the_extra_brings_it_where_there_are_wheels(
    platform: Mapping[str, str], brings_it: bool
) -> None:
    """``beryl_groups[sqlite]`` can be installed everywhere, and never compiles anything."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        (line,) = tomllib.load(file)["project"]["optional-dependencies"]["sqlite"]
    requirement = Requirement(line)
    assert requirement.marker is not None

    environment = {"implementation_name": "cpython", **X86_LINUX, **platform}

    assert requirement.name == "pysqlite3"
    assert requirement.marker.evaluate(environment) == brings_it
