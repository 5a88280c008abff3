"""A file that the ``sqlite3`` shell made from a dump of ours is ours again."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StartFailed, revisions
from tests.frozen.make import FOLDER, GROUPS
from tests.sqlite.opening import everything, folder_for_all, revision_of, run_sql, unprivileged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MARK = "PRAGMA application_id"


def dump(source: Path, target: Path) -> None:
    written = subprocess.run(["sqlite3", source, ".dump"], capture_output=True, check=True).stdout
    subprocess.run(["sqlite3", target], input=written, capture_output=True, check=True)


@pytest.fixture(params=revisions.REVISIONS)
def dumped(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What a dump of a file of each revision gives, which bears no application_id."""
    source, target = tmp_path / "source.db", tmp_path / "dumped.db"
    shutil.copyfile(FOLDER / f"{request.param}.db", source)
    dump(source, target)
    assert run_sql(target, MARK) == [(0,)]
    return target


def test_a_dump_is_opened_and_marked(dumped: Path) -> None:
    """It holds what was dumped, is brought up to date, and bears our id afterwards."""
    with beryl_groups.start(dumped) as groups:
        assert {name: groups.topics(name) for name in groups} == GROUPS
        assert groups.check() == []
    assert run_sql(dumped, MARK) == [(0x6272796C,)]
    assert revision_of(dumped) == [(revisions.HEAD,)]


def test_no_id_is_given_twice_after_a_dump(dumped: Path) -> None:
    """The highest id that was ever given goes along."""
    ((highest,),) = run_sql(dumped, "SELECT seq FROM sqlite_sequence WHERE name = 'groups'")
    with beryl_groups.start(dumped) as groups:
        groups.create("new")
    assert run_sql(dumped, "SELECT id FROM groups WHERE name = 'new'") == [(highest + 1,)]


def names(path: Path) -> list[str]:
    with beryl_groups.start(path) as groups:
        return list(groups)


def test_a_dump_that_may_only_be_read_is_read(path: Path) -> None:
    """Where it may not be marked it is opened all the same, if it is current."""
    with beryl_groups.start(path) as groups:
        groups.create("team")
    with folder_for_all() as folder:
        target = folder / "dumped.db"
        dump(path, target)
        run_sql(target, "PRAGMA journal_mode = WAL")
        target.chmod(0o444)
        assert unprivileged(names, target) == ["team"]
        assert run_sql(target, MARK) == [(0,)]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: run_sql(path, "ALTER TABLE groups ADD COLUMN colour TEXT"),
        lambda path: run_sql(path, "DROP TABLE group_topics"),
        lambda path: run_sql(path, "ALTER TABLE groups RENAME TO teams"),
        lambda path: run_sql(path, "PRAGMA application_id = 7"),
        lambda path: run_sql(path, f"DROP TABLE {revisions.VERSION_TABLE}"),
    ],
)
def test_what_is_not_ours_to_the_letter_is_refused(
    path: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """Other tables, or the id of somebody else, make it another's, and it stays as it is."""
    beryl_groups.start(path).close()
    target = tmp_path / "dumped.db"
    dump(path, target)
    change(target)
    before = everything(tmp_path)
    with pytest.raises(StartFailed, match="another application"):
        beryl_groups.start(target)
    assert everything(tmp_path) == before
