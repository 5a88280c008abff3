"""How a database is named: paths of any characters, and URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL

import beryl_groups
from beryl_groups import StartFailed
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

STRANGE_NAMES = [
    "with spaces .db",
    "100%.db",
    "%20%2e%00.db",
    "what?.db",
    "what?mode=memory&cache=shared",
    "file:groups.db?mode=ro",
    "a#b.db",
    "ümlaut-テスト-😀.db",
    "e\u0301 and \u00e9.db",
    "quotes'\"`.db",
    "back\\slash.db",
    "new\nline.db",
    "-option.db",
    ":memory",
    "not UTF-8 \udcff.db",
]


def open_and_use(database: str | os.PathLike[str] | URL, path: Path) -> None:
    """Write through one handle, read through the next, and see that the file is at the path."""
    assert not path.exists()
    with beryl_groups.start(database) as groups:
        groups.create("team")
        assert path.is_file()
    with beryl_groups.start(database) as groups:
        assert list(groups) == ["team"]
    assert [entry.name for entry in path.parent.iterdir() if entry.is_file()] == [path.name]


@pytest.mark.parametrize("name", STRANGE_NAMES, ids=ascii)
def test_any_path_is_taken_literally(tmp_path: Path, name: str) -> None:
    """Every character of a path stands for itself; nothing in it is an option or an escape."""
    open_and_use(str(tmp_path / name), tmp_path / name)


@pytest.mark.parametrize("name", STRANGE_NAMES, ids=ascii)
def test_a_relative_path_is_taken_literally(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does every character of a path that starts in the current folder."""
    monkeypatch.chdir(tmp_path)
    open_and_use(name, tmp_path / name)


@pytest.mark.parametrize("name", ["groups.db", "100% what?#.db"])
def test_a_pathlib_path_is_taken(tmp_path: Path, name: str) -> None:
    """A ``pathlib.Path`` opens the file it names."""
    open_and_use(tmp_path / name, tmp_path / name)


def test_dots_in_a_path_go_up(tmp_path: Path) -> None:
    """``..`` means the folder above, behind a symbolic link the one above its target."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    open_and_use(f"{tmp_path}/a/../up.db", tmp_path / "up.db")
    open_and_use(f"{tmp_path}/link/../up.db", tmp_path / "a" / "up.db")


def test_a_link_to_a_file_opens_the_file(tmp_path: Path, path: Path) -> None:
    """Who opens a symbolic link and who opens its target share one database."""
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with beryl_groups.start(path) as groups, beryl_groups.start(link) as linked:
        linked.create("team")
        assert list(groups) == ["team"]


def test_a_relative_path_stays_where_it_was_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later change of the current folder moves nothing, also for connections yet to come."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with beryl_groups.start("groups.db") as groups:
        monkeypatch.chdir(tmp_path / "elsewhere")
        groups.create("team")
        with groups.transaction():
            assert in_thread(lambda: list(groups)).result(PATIENCE) == ["team"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    with beryl_groups.start(tmp_path / "groups.db") as groups:
        assert list(groups) == ["team"]


URLS: dict[str, Callable[[Path], str | URL]] = {
    "object": lambda path: URL.create("sqlite", database=str(path)),
    "object with driver": lambda path: URL.create("sqlite+pysqlite", database=str(path)),
    "string": lambda path: f"sqlite:///{path}",
    "string with driver": lambda path: f"sqlite+pysqlite:///{path}",
    "relative string": lambda path: f"sqlite:///{path.name}",
}


@pytest.mark.parametrize("form", URLS)
@pytest.mark.parametrize("name", ["groups.db", "100% with spaces é#.db"])
def test_a_url_opens_the_file_it_names(
    tmp_path: Path, form: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SQLAlchemy URL for SQLite, as an object or a string, opens the file it names."""
    monkeypatch.chdir(tmp_path)
    open_and_use(URLS[form](tmp_path / name), tmp_path / name)


def test_a_question_mark_in_a_url_object_is_part_of_the_path(tmp_path: Path) -> None:
    """The database of a ``URL`` is a path as it is, with no second meaning of its characters."""
    path = tmp_path / "what?mode=ro.db"
    open_and_use(URL.create("sqlite", database=str(path)), path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://user:secret@host/groups", "'mysql' is not supported"),
        ("sqlite+aiosqlite:///groups.db", "'sqlite.aiosqlite' is not supported"),
        ("sqlite:///groups.db?mode=ro", "options in a URL are not supported"),
        ("sqlite://host/groups.db", "a host .* not supported"),
        ("://groups.db", "no URL"),
        (URL.create("mysql", password="secret"), "'mysql' is not supported"),
    ],
)
def test_another_url_is_refused(
    tmp_path: Path, url: str | URL, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL that names no SQLite file, or asks for more, is refused; a password is not shown."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StartFailed, match=reason) as caught:
        beryl_groups.start(url).close()
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("database", [None, b"groups.db", 7, ["groups.db"]])
def test_what_is_no_path_is_a_type_error(database: str) -> None:
    """There is no default database, and nothing but text and paths names one."""
    with pytest.raises(TypeError):
        beryl_groups.start(database).close()


def test_an_empty_path_is_refused() -> None:
    """An empty path is a mistake of the caller's: it is refused, and no temporary file made."""
    with pytest.raises(StartFailed, match="no name"):
        beryl_groups.start("").close()
