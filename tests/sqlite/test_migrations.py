"""The revisions: each released one opens, none costs a current file anything, Alembic works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import beryl_groups
from beryl_groups import migrating, revisions
from tests.frozen.make import FOLDER, GROUPS, make
from tests.processes import PATIENCE, for_ci
from tests.sqlite.opening import revision_of, run_sql, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def test_the_known_revisions_are_those_of_the_scripts() -> None:
    """HEAD is Alembic's one head, and REVISIONS names every script, oldest first."""
    config = Config()
    with resources.as_file(resources.files(migrating.SCRIPTS)) as folder:
        config.set_main_option("script_location", str(folder))
        scripts = ScriptDirectory.from_config(config)
        assert scripts.get_current_head() == revisions.HEAD
        walked = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(walked)) == revisions.REVISIONS


@pytest.mark.parametrize("revision", revisions.REVISIONS)
def test_a_frozen_file_is_opened_and_used(path: Path, revision: str) -> None:
    """A file that a released revision made opens with all that was in it, and works on."""
    shutil.copyfile(FOLDER / f"{revision}.db", path)
    table = "alembic_version" if revision == "0001" else revisions.VERSION_TABLE
    assert run_sql(path, f"SELECT version_num FROM {table}") == [(revision,)]
    with beryl_groups.start(path) as groups:
        assert {name: groups.topics(name) for name in groups} == GROUPS
        assert groups.groups_of("room:backend") == sorted(
            name for name, topics in GROUPS.items() if "room:backend" in topics
        )
        groups.create("deleted")
        assert groups.topics("deleted") == frozenset()
        groups.add("empty", "late")
        groups.rename("large", "small")
        groups.set_topics("small", ["topic:1"])
        groups.delete("renamed")
        assert groups.check() == []
    with beryl_groups.start(path) as groups:
        assert groups.topics("empty") == {"late"}
        assert groups.topics("small") == {"topic:1"}
        assert "renamed" not in groups
    assert revision_of(path) == [(revisions.HEAD,)]


@pytest.mark.parametrize("revision", revisions.REVISIONS)
def test_a_frozen_file_gets_the_schema_of_a_new_one(
    tmp_path: Path, path: Path, revision: str
) -> None:
    """Whatever way a file came to the newest revision, its schema is the same to the letter."""
    shutil.copyfile(FOLDER / f"{revision}.db", path)
    beryl_groups.start(path).close()
    beryl_groups.start(tmp_path / "new.db").close()
    assert schema_of(path) == schema_of(tmp_path / "new.db")


def test_a_frozen_file_is_never_made_anew() -> None:
    """The script that makes the frozen file of a revision leaves one that is there alone."""
    with pytest.raises(SystemExit, match="never made anew"):
        make(FOLDER / f"{revisions.HEAD}.db")


USE_WITHOUT_ALEMBIC = """
import sys, beryl_groups
with beryl_groups.start(sys.argv[1]) as groups:
    groups.create("team")
    groups.add("team", "topic")
    assert list(groups) == ["team"]
    assert groups.check() == []
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"alembic", "mako"}))
"""


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_current_file_is_used_without_alembic(path: Path, mode: str) -> None:
    """Whoever opens a current file pays nothing for the migrations it does not need."""
    beryl_groups.start(path).close()
    run_sql(path, f"PRAGMA journal_mode = {mode}")
    program = [sys.executable, "-W", "ignore", "-c", USE_WITHOUT_ALEMBIC, str(path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.strip() == ""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what a clone holds and Alembic needs, for it leaves files behind."""
    folder = tmp_path / "a clone, 100%"
    for name in ("beryl_groups", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def alembic(clone: Path, path: Path) -> Callable[..., str]:
    """Run Alembic in the clone on the database, and return what it said."""

    def run(*arguments: str, exitcode: int = 0) -> str:
        command = [sys.executable, "-W", "error", "-m", "alembic", "-x", f"database={path}"]
        done = subprocess.run(
            [*command, *arguments],
            cwd=clone,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == exitcode, done.stderr
        return done.stdout + done.stderr

    return run


def test_alembic_brings_a_file_up_to_date(alembic: Callable[..., str], path: Path) -> None:
    """``alembic upgrade head`` makes the file that ``start`` makes, and ``start`` opens it."""
    alembic("upgrade", "head")
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    made = path.with_name("made.db")
    beryl_groups.start(made).close()
    assert schema_of(path) == schema_of(made)
    with beryl_groups.start(path) as groups:
        groups.create("team")
        assert groups.check() == []


@for_ci
def test_alembic_check_compares_tables_and_migrations(
    alembic: Callable[..., str], path: Path
) -> None:
    """``alembic check`` finds nothing to do after the migrations, and any difference there is."""
    beryl_groups.start(path).close()
    assert "No new upgrade operations detected" in alembic("check")
    run_sql(path, "ALTER TABLE groups ADD COLUMN colour TEXT", "DROP INDEX group_topics_by_topic")
    told = alembic("check", exitcode=255)
    assert "colour" in told
    assert "group_topics_by_topic" in told


@for_ci
def test_alembic_writes_the_next_revision(
    alembic: Callable[..., str], path: Path, clone: Path
) -> None:
    """``alembic revision --autogenerate`` writes what ``tables.py`` has more than the file."""
    alembic("upgrade", "head")
    tables = clone / "beryl_groups" / "tables.py"
    name = 'Column("name", Text, nullable=False, unique=True),'
    assert name in tables.read_text()
    tables.write_text(tables.read_text().replace(name, f'{name} Column("colour", Text),'))
    alembic("revision", "--autogenerate", "--rev-id", "9999", "-m", "add colour")
    (written,) = (clone / "migrations" / "versions").glob("9999*.py")
    assert written.name == "9999_add_colour.py"
    upgrade = written.read_text().partition("def upgrade(")[2].partition("def downgrade(")[0]
    assert re.search(r"add_column\(sa\.Column\(.colour., sa\.Text\(\)", upgrade)
    assert "drop" not in upgrade
    assert re.search(rf"{revisions.HEAD} -> 9999 \(head\), add colour", alembic("history"))
    alembic("upgrade", "head")
    assert ("colour",) in run_sql(path, "SELECT name FROM pragma_table_info('groups')")


def test_alembic_tells_the_history(alembic: Callable[..., str]) -> None:
    """``alembic history`` names every revision, with what it is for."""
    told = alembic("history")
    assert all(revision in told for revision in revisions.REVISIONS)
    assert "Groups and their topics" in told


def test_alembic_wants_to_know_which_database(clone: Path) -> None:
    """Without ``-x database=PATH`` Alembic says what is missing, and makes no file."""
    before = {entry.name for entry in clone.iterdir()}
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "alembic -x database=PATH" in done.stderr
    assert {entry.name for entry in clone.iterdir()} == before


def test_alembic_leaves_the_database_of_another_application_alone(
    alembic: Callable[..., str], path: Path
) -> None:
    """A slip of the path on the command line does not put our tables among somebody else's."""
    run_sql(path, "CREATE TABLE notes(text)")
    before = path.read_bytes()
    told = alembic("upgrade", "head", exitcode=1)
    assert "another application" in told
    assert path.read_bytes() == before
