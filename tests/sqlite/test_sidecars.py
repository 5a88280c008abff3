"""Who may only read a database leaves nothing beside it that keeps its writers out."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import StorageFailed, sqlite
from tests.processes import PATIENCE, gather, in_thread
from tests.sqlite.opening import folder_for_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users")

WRITER, READER = 65532, 65533


@pytest.fixture
def shared() -> Iterator[Path]:
    """A file that one user may write and all may read, in a folder that all may write."""
    with folder_for_all() as folder:
        path = folder / "groups.db"
        assert write(path, "first") == ["first"]
        os.chown(path, WRITER, WRITER)
        path.chmod(0o644)
        yield path


def as_user(user: int, target: Callable[..., Any], *arguments: Any) -> Any:
    (result,) = gather(_as_user, [(user, target, *arguments)])
    return result


def _as_user(user: int, target: Callable[..., Any], *arguments: Any) -> Any:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    return target(*arguments)


def write(path: Path, name: str) -> list[str]:
    with beryl_groups.start(path) as groups:
        groups.create(name)
        return list(groups)


def write_in_vain(path: Path, name: str) -> str:
    with beryl_groups.start(path) as groups:
        assert "first" in groups
        with pytest.raises(StorageFailed) as caught:
            groups.create(name)
        return str(caught.value)


def read(path: Path) -> list[str]:
    with beryl_groups.start(path) as groups:
        found = [*groups, *groups.topics("first")]
        assert groups.check() == []
        assert list(path.parent.iterdir()) == [path], "while it is open"
        return found


def leave_sidecars(path: Path) -> list[str]:
    """Read as SQLite itself does for who may not write, and leave what it leaves."""
    reader = sqlite.driver.connect(f"file:{path}?mode=ro", uri=True)
    reader.execute("SELECT count(*) FROM groups").fetchall()
    reader.close()
    return sorted(each.name for each in path.parent.iterdir())


def hold(path: Path, seconds: float) -> None:
    reader = sqlite.driver.connect(f"file:{path}?mode=ro", uri=True)
    reader.execute("SELECT count(*) FROM groups").fetchall()
    (path.parent / "held").touch()
    time.sleep(seconds)
    reader.close()


def test_a_reader_leaves_nothing_behind(shared: Path) -> None:
    """A handle that only reads makes no file, while it is open or after, and the owner writes."""
    assert as_user(READER, read, shared) == ["first"]
    assert list(shared.parent.iterdir()) == [shared]
    assert as_user(WRITER, write, shared, "second") == ["first", "second"]
    assert as_user(READER, read, shared) == ["first", "second"]


def test_a_writer_gets_rid_of_what_a_reader_has_left(shared: Path) -> None:
    """Sidecars that another program has left under its own user, with no commits, are removed."""
    left = as_user(READER, leave_sidecars, shared)
    assert left == ["groups.db", "groups.db-shm", "groups.db-wal"]
    assert as_user(WRITER, write, shared, "second") == ["first", "second"]
    assert list(shared.parent.iterdir()) == [shared]


def test_what_cannot_be_removed_is_named_with_whose_it_is(shared: Path) -> None:
    """Where the folder forbids it, reading works and a write names the file and its owner."""
    as_user(READER, leave_sidecars, shared)
    shared.parent.chmod(0o1777)
    said = as_user(WRITER, write_in_vain, shared, "second")
    assert "'groups.db-wal' beside it belongs to the user 65533 and may not be written here" in said
    shared.parent.chmod(0o777)
    assert as_user(WRITER, write, shared, "second") == ["first", "second"]


def test_what_a_reader_is_using_is_not_removed(shared: Path) -> None:
    """While somebody has the database open the files beside it stay, and a write names them."""
    holding = in_thread(lambda: as_user(READER, hold, shared, 3))
    while not (shared.parent / "held").exists():
        assert not holding.done()
        time.sleep(0.01)
    said = as_user(WRITER, write_in_vain, shared, "second")
    assert "beside it belongs to the user 65533" in said
    holding.result(PATIENCE)
    assert as_user(WRITER, write, shared, "second") == ["first", "second"]
