"""What has to be in the file and beside it when all who used it have been killed."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import beryl_groups
from beryl_groups import WalResetWarning
from beryl_groups.revisions import HEAD
from tests.contract.test_durability import contents
from tests.sqlite.opening import run_sql
from tests.sqlite.revisions import installed
from tests.torture.kill.program import SHARED, Program, kind_of
from tests.torture.kill.victim import BEGIN, END, OPENING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.contract.test_durability import Call, Model
    from tests.torture.kill.victim import Plan


class Fault(Exception):  # noqa: N818
    """Something that must not be."""


class Testimony:
    """What one thread has told of its calls: so many ended, and one more begun or not."""

    def __init__(self, program: Program, notes: bytes) -> None:
        self.name = program.name
        self.model = program.model
        self.copies: dict[Path, Model] = {}
        self.begun: Call | None = None
        self.calls = notes.count(END)
        for _ in range(self.calls):
            call = program.next_call()
            if call[0] == "backup":
                self.copies[call[1][0]] = copy.deepcopy(self.model)
        self.acknowledged = set(self.copies)
        self.with_begun = self.model
        if notes.count(BEGIN) > self.calls:
            self.model = copy.deepcopy(self.model)
            self.begun = program.next_call()
            if self.begun[0] == "backup":
                self.copies[self.begun[1][0]] = self.model

    def accepts(self, found: Model) -> bool:
        """Tell whether the file may hold this, of what is the thread's own."""
        own = self.of(found)
        return own in (self._filled(self.model), self._filled(self.with_begun))

    def of(self, found: Model) -> Model:
        """Return what of a file's content is this thread's."""
        prefix = f"{self.name}:"
        own = {name: topics for name, topics in found.items() if name.startswith(prefix)}
        own[SHARED] = {topic for topic in found.get(SHARED, ()) if topic.startswith(prefix)}
        return own

    def _filled(self, model: Model) -> Model:
        return {SHARED: set(), **model}

    def difference(self, found: Model) -> str:
        """Say what nobody expects."""
        begun = "none" if self.begun is None else kind_of(self.begun)
        lines = [f"{self.name}: {self.calls} calls ended, and then {begun} was begun"]
        before, after, own = self._filled(self.model), self._filled(self.with_begun), self.of(found)
        for name in sorted(before.keys() | after.keys() | own.keys()):
            states = [each.get(name) for each in (before, after, own)]
            if states[2] not in states[:2] or states[0] != states[1]:
                without, whole, there = map(_shown_topics, states)
                lines.append(f"  {name}: {without} before it and {whole} after; there: {there}")
        return "\n".join(lines)


def _shown_topics(topics: set[str] | None) -> str:
    return "no group" if topics is None else f"{len(topics)} topics"


def testimonies(plan: Plan, notes: bytes) -> tuple[list[Testimony], bytes]:
    """Return what each thread of a process has told, and what the process told of its openings."""
    who, what = notes[::2], notes[1::2]

    def of(number: int) -> bytes:
        return bytes(each for of_whom, each in zip(who, what, strict=True) if of_whom == number)

    threads = [Testimony(program, of(at)) for at, program in enumerate(plan.programs())]
    return threads, of(OPENING)


def schema_in(path: Path) -> list[Any]:
    """Return the schema of a file and its revision; an empty list where there is none."""
    found = run_sql(path, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")
    if ("beryl_groups_version",) in [row[1:2] for row in found]:
        found += run_sql(path, "SELECT version_num FROM beryl_groups_version")
    return found


def expect_sound(path: Path, schemas: Iterable[list[Any]]) -> None:
    """See with the eyes of SQLite alone that a file is sound, and its schema one of these."""
    if run_sql(path, "PRAGMA integrity_check") != [("ok",)]:
        raise Fault(f"{path} is damaged")
    if broken := run_sql(path, "PRAGMA foreign_key_check"):
        raise Fault(f"{path} has rows that refer to nothing: {broken[:3]}")
    if (found := schema_in(path)) not in list(schemas):
        raise Fault(f"{path} has half a schema, or another one than it should: {found}")


def content(path: Path, package: Path | None) -> Model:
    """Open a file as a user would, and return what is in it; all has to be well with it."""
    with installed(package), beryl_groups.start(path) as groups, warnings.catch_warnings():
        warnings.simplefilter("ignore", WalResetWarning)
        if problems := groups.check():
            raise Fault(f"{path}: {problems}")
        return contents(groups)


def expect_content(found: Model, settled: Model, threads: Iterable[Testimony]) -> None:
    """See that all that was acknowledged is in the file, nothing unbegun, and no half."""
    rest = {name: set(topics) for name, topics in found.items()}
    for thread in threads:
        if not thread.accepts(found):
            raise Fault(thread.difference(found))
        for name, topics in thread.of(found).items():
            if name == SHARED:
                rest.get(SHARED, set()).difference_update(topics)
            else:
                del rest[name]
    if rest != settled:
        names = sorted(
            name for name in rest.keys() | settled if rest.get(name) != settled.get(name)
        )
        raise Fault(f"what nobody touched has changed: {names}")


def expect_copies(folder: Path, threads: list[Testimony], package: Path | None) -> int:
    """See that each copy that was acknowledged is there, and that all that are there are whole.

    A backup that was killed may leave its draft, and a draft alone; return how many did.
    """
    drafts = 0
    there = set(folder.iterdir())
    for thread in threads:
        if missing := thread.acknowledged - there:
            raise Fault(f"acknowledged copies are missing: {missing}")
        for path, model in thread.copies.items():
            if path in there:
                there.remove(path)
                if path.stat().st_mode & 0o777 != 0o600:
                    raise Fault(f"{path} is not for its owner alone")
                if thread.of(content(path, package)) != {SHARED: set(), **model}:
                    raise Fault(f"{path} does not hold what was there when it was made")
        drafts += thread.begun is not None and thread.begun[0] == "backup"
    left = {path for path in there if not path.name.endswith("-lock")}
    if [path for path in there if not path.name.startswith(".beryl-")] or len(left) > drafts:
        raise Fault(f"left beside the copies: {sorted(there)}")
    return len(left)


def interrupted(threads: Iterable[Testimony], openings: bytes, opening: str) -> Iterator[str]:
    """Name what was under way in a process when it was killed."""
    for thread in threads:
        if thread.begun is not None:
            yield kind_of(thread.begun)
    if openings.count(BEGIN) > openings.count(END):
        ended = openings.count(END)
        yield "close" if ended % 2 else opening if ended == 0 else "open"


def revisions(folder: Path, package: Path) -> dict[str, list[Any]]:
    """Return the schema that each revision has in a file that nobody was killed on."""
    path = folder / "reference.db"
    found = {}
    for known, name in ((None, HEAD), (package, "next")):
        with installed(known):
            beryl_groups.start(path).close()
        found[name] = schema_in(path)
    return found
