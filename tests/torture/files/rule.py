"""What each file may come to: refused, right, or damaged and told of.

A file is looked at before, by the driver alone and on a copy (`Truth`). Then it is opened and put
to use with all methods, and afterwards looked at again.

- `start` refuses it with a `StartFailed`: then every byte of it, and of what lies beside it, is
  as it was. (Of `-shm` nothing is asked: it is SQLite's to make and to remove.)
- It is sound: SQLite's `integrity_check` and `foreign_key_check` find nothing, and every name in
  it could have been stored; or it is empty, as a new file is. Then every answer is the one that a
  plain dict gives that was filled from the raw rows, before and after the writes of the exercise,
  by way of the file, the cache, a transaction, a backup and a second start; `check()` finds
  nothing; and no SQL of the file's own has run. A write may fail with a `StorageFailed`, which then
  has changed nothing: there is damage that `integrity_check` does not look for, and an index whose
  expression fails. None may where the file was left as it is, which some are.
- It is not sound. No answer can be held against anything then, since SQLite believes one page or
  another. So each call raises an error of ours or gives what is promised by type, a text for a
  name; and `check()` tells of the damage, or raises a `StorageFailed` itself.

Whatever it is: no process dies, none hangs, no error of a library comes bare, nothing stays open.
"""

from __future__ import annotations

import warnings
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import beryl_groups
from beryl_groups import GroupError, StartFailed, StorageFailed, figures, sqlite
from beryl_groups.commandline.database import reading
from beryl_groups.names import check_name
from beryl_groups.sqlite import copies
from tests.processes import open_files
from tests.sqlite.opening import everything
from tests.torture.files.bases import DATABASE, SHM
from tests.torture.files.exercise import Model, calls_that_read, calls_that_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from random import Random

    from tests.torture.files.mutations import Files

_STEPS = 5_000_000
"""So many instructions of SQLite's are enough to read any of these files whole."""


class Fault(Exception):  # noqa: N818 - what the run calls it
    """The library did what it must not."""


@dataclass
class Truth:
    """What the driver alone makes of a file."""

    problem: str | None = None
    groups: Model = field(default_factory=Model)
    witnesses: int = 0

    @property
    def sound(self) -> bool:
        return self.problem is None


def truth(files: Files, folder: Path) -> Truth:
    """Look at a copy of the files, which opening may change."""
    folder.mkdir()
    path = folder / "copy.db"
    write(files, path)
    found = Truth()
    try:
        with closing(sqlite.driver.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.set_progress_handler(lambda: 1, _STEPS)
            found.problem = _problem(connection)
            if connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is not None:
                _read(connection, found)
    except (sqlite.driver.Error, UnicodeDecodeError) as error:
        found.problem = found.problem or repr(error)
    return found


def _problem(connection: sqlite.driver.Connection) -> str | None:
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            return str(line)
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    return f"broken references: {broken[:3]}" if broken else None


def _read(connection: sqlite.driver.Connection, found: Truth) -> None:
    names: dict[object, str] = {}
    held = found.groups.held
    rows = "SELECT id, CAST(name AS BLOB) FROM groups NOT INDEXED"
    for group_id, name in connection.execute(rows):
        with _noting_a_problem(found):
            names[group_id] = check_name(name.decode())
            held[names[group_id]] = set()
    rows = "SELECT group_id, CAST(topic AS BLOB) FROM group_topics NOT INDEXED"
    for group_id, topic in connection.execute(rows):
        with _noting_a_problem(found):
            held[names[group_id]].add(check_name(topic.decode()))
    with suppress(sqlite.driver.Error):
        (found.witnesses,) = connection.execute("SELECT count(*) FROM tampered_with").fetchone()


@contextmanager
def _noting_a_problem(found: Truth) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, AttributeError) as error:
        # It is no text, could not have been stored as a name, or belongs to no group.
        found.problem = found.problem or repr(error)


def write(files: Files, path: Path) -> None:
    for ending, data in files.items():
        path.with_name(path.name + ending).write_bytes(data)


def judge(files: Files, chance: Random, folder: Path, *, untouched: bool) -> str:
    """Put a file to use; return what came of it, or raise `Fault`."""
    before = truth(files, folder / "before")
    home = folder / "home"
    home.mkdir()
    path = home / "groups.db"
    write(files, path)
    as_it_was = everything(home)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", beryl_groups.WalResetWarning)
        came = _judge(path, before, as_it_was, chance, untouched)
    left = [name for name in open_files() if name.startswith(str(folder))]
    if left:
        raise Fault(f"left open: {left}")
    return came


def _judge(
    path: Path, before: Truth, as_it_was: dict[str, bytes], chance: Random, untouched: bool
) -> str:
    try:
        groups = beryl_groups.start(path, busy_timeout=1)
    except StartFailed as refusal:
        _sentence(refusal, path)
        _unchanged(everything(path.parent), as_it_was)
        return "refused"
    except Exception as error:
        raise Fault(f"start: {error!r}") from error
    with groups:
        _use(groups, path, before, chance, untouched)
    _outcome("the command line", partial(_visit, path), path)
    if before.sound:
        _compare_afterwards(path, before)
        return "right"
    return "damaged"


def _unchanged(now: dict[str, bytes], as_it_was: dict[str, bytes]) -> None:
    names = now.keys() | as_it_was.keys()
    changed = [
        name for name in names if now.get(name) != as_it_was.get(name) and not name.endswith(SHM)
    ]
    if changed:
        raise Fault(f"refused, and changed: {sorted(changed)}")


def _use(
    groups: beryl_groups.Groups, path: Path, before: Truth, chance: Random, untouched: bool
) -> None:
    _read_all(groups, before, chance, path)
    problems = _outcome("check", groups.check, path)
    if isinstance(problems, StorageFailed):
        if before.sound:
            raise Fault(f"sound, and check raised {problems}")
    elif bool(problems) == before.sound:
        raise Fault(f"{before.problem or 'sound'}, and check said {problems}")
    for label, call in calls_that_write(chance, before.groups):
        expected, after = before.groups.foreseen(call)
        came = _outcome(label, partial(call, groups), path)
        if before.sound and (untouched or not isinstance(came, StorageFailed)):
            if type(came) is not type(expected):
                raise Fault(f"{label}: {came!r} in place of {expected!r}")
            before.groups.held = after.held
    _read_all(groups, before, chance, path)
    copy = path.with_name("backup.db")
    came = _outcome("backup", partial(groups.backup, copy), path)
    if before.sound:
        if came is not None:
            raise Fault(f"sound, and backup raised {came!r}")
        found = truth({DATABASE: copy.read_bytes()}, path.parent.with_name("copied"))
        if found.problem or found.groups.held != before.groups.held:
            raise Fault(f"the backup is another: {found.problem}")


def _read_all(groups: beryl_groups.Groups, before: Truth, chance: Random, path: Path) -> None:
    for label, call, kind in calls_that_read(chance, before.groups):
        expected = before.groups.answer(call)
        for _ in range(2):  # from the file, and from memory
            came = _outcome(label, partial(call, groups), path)
            if before.sound:
                if type(came) is not type(expected) or (
                    came != expected and not isinstance(came, GroupError)
                ):
                    raise Fault(f"{label}: {came!r} in place of {expected!r}")
            elif not isinstance(came, GroupError):
                _typed(label, came, kind)


def _visit(path: Path) -> None:
    """Read what the commands read; they show what is raised as a sentence, if it is ours."""
    with reading(str(path)) as visit:
        reads: list[Callable[[], object]] = [
            lambda: visit.read(figures.figures, 3),
            lambda: visit.read(figures.for_each_group, lambda *_: None),
            lambda: visit.read(figures.list_topics, "room:", 9),
            lambda: visit.read(figures.numbers_of_topics, "a", "z"),
            lambda: visit.read(copies.problems),
        ]
        for read in reads:
            with suppress(StorageFailed):
                read()


def _typed(label: str, came: object, kind: type) -> None:
    if type(came) is not kind:
        raise Fault(f"{label}: {came!r} is no {kind.__name__}")
    if isinstance(came, (list, frozenset)) and {type(each) for each in came} - {str}:
        raise Fault(f"{label}: {came!r} holds what is no text")


def _outcome(label: str, call: Callable[[], Any], path: Path) -> Any:
    """Return what a call gives or which error of ours it raises."""
    try:
        return call()
    except StorageFailed as error:
        _sentence(error, path)
        return error
    except GroupError as error:
        return error
    except Exception as error:
        raise Fault(f"{label}: {error!r}") from error


def _sentence(error: GroupError, path: Path) -> None:
    said = str(error)
    if not said.endswith(".") or len(said) > 2000 or str(path.parent) not in said:
        raise Fault(f"no sentence: {said[:300]!r}")


def _compare_afterwards(path: Path, before: Truth) -> None:
    files = {
        entry.name.removeprefix(path.name): entry.read_bytes()
        for entry in path.parent.iterdir()
        if entry.name.startswith(path.name)
    }
    after = truth(files, path.parent.with_name("after"))
    if after.problem is not None:
        raise Fault(f"sound before, and not after: {after.problem}")
    if after.witnesses != before.witnesses:
        raise Fault("SQL that lay in the file has run")
    if after.groups.held != before.groups.held:
        raise Fault("the file does not hold what the calls said")
    with beryl_groups.start(path) as groups:
        if list(groups) != sorted(before.groups.held):
            raise Fault("a second start finds other groups")
