"""Every example in the documents is run, and prints what it says."""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib.util
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
import beryl_groups.channels
from beryl_groups import Groups, aio
from tests.channels.servers import find, mosquitto, redis_server
from tests.documents.reading import (
    CHANNELS,
    DOCUMENTS,
    FENCED,
    FOLLOWED,
    POSTGRESQL,
    README,
    ROOT,
    Block,
    blocks,
    files,
)
from tests.postgresql import databases, shared
from tests.postgresql.server import programs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

AWAITS = re.compile(r"\bawait\b|\basync (with|for)\b")
COMMAND = re.compile(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def run_session(test: doctest.DocTest, loop: asyncio.Runner) -> None:
    """Run the ``>>>`` lines of a block or a docstring, and fail with all that differs.

    A line that awaits is run on the loop, as ``python -m asyncio`` does.
    """
    for example in test.examples:
        if AWAITS.search(example.source):
            example.source = f"run_awaiting({example.source!r})\n"
    test.globs["run_awaiting"] = partial(run_awaiting, test.globs, loop)
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    runner.run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)


def run_awaiting(names: dict[str, Any], loop: asyncio.Runner, source: str) -> None:
    code = compile(source, "<example>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if inspect.iscoroutine(awaiting := eval(code, names)):
        loop.run(awaiting)


def run_command(line: str, expected: str, folder: Path) -> None:
    """Run a command as a reader would who has the package's environment active."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": programs, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    example = doctest.Example(line, expected)
    checker = doctest.OutputChecker()
    if not checker.check_output(expected, done.stdout, doctest.ELLIPSIS):
        difference = checker.output_difference(example, done.stdout, doctest.ELLIPSIS)
        raise AssertionError(f"$ {line}\n{difference}")


class Reader:
    """A reader who follows a document from top to bottom in one folder and one session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.Runner()
        self.names: dict[str, Any] = {}
        self.ports: dict[str, int] = {}
        """The usual ports, and where the servers are that this reader has instead."""

    def follow(self, block: Block) -> None:
        text = block.text
        for usual, port in self.ports.items():
            text = re.sub(rf"\b{usual}\b", str(port), text)
        block = replace(block, text=text)
        if block.run_by != FOLLOWED:
            return
        if block.language == "console":
            for line, expected in COMMAND.findall(block.text):
                run_command(line, expected, self.folder)
        elif block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        else:
            test = doctest.DocTestParser().get_doctest(
                block.text, {}, block.document.name, str(block.document), block.line
            )
            test.globs = self.names
            run_session(test, self.loop)

    def close(self) -> None:
        if (groups := self.names.get("groups")) is not None:
            groups.close()
        self.loop.close()


def shown(document: Path) -> str:
    return str(document.relative_to(ROOT))


APART = "Command line"
"""The section of the README that uses nothing of what stands before it; it is followed apart."""

SERVER = "a PostgreSQL server"

NEEDS = {
    (README, "Channels"): ("mosquitto", "redis-server", "paho", "redis"),
    (CHANNELS, "MQTT"): ("mosquitto", "paho"),
    (CHANNELS, "Redis"): ("redis-server", "redis"),
    (CHANNELS, "Socket.IO"): ("socketio",),
    (CHANNELS, "Async callbacks"): ("channels",),
    (CHANNELS, "Qt"): ("PySide6",),
    **{
        (document, block.section): (SERVER,)
        for document in (README, POSTGRESQL)
        for block in blocks(document)
        if document == POSTGRESQL or block.section == "More than one machine"
    },
}
"""The programs and libraries without which a section cannot be followed."""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs the sqlite3 shell")
@pytest.mark.parametrize(
    ("document", "apart"),
    [*((document, False) for document in DOCUMENTS), (README, True)],
    ids=[*map(shown, DOCUMENTS), APART],
)
def test_the_documents_do_what_they_say(
    document: Path, apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever follows a document from top to bottom sees what it shows."""
    shutil.copy(README, tmp_path)
    monkeypatch.chdir(tmp_path)
    followed = [
        block
        for block in blocks(document)
        if document != README or (block.section == APART) is apart
    ]
    sections = {block.section for block in followed}
    lacking = {
        section: missing
        for (where, section), needed in NEEDS.items()
        if where == document and section in sections and (missing := absent(needed))
    }
    with closing(Reader(tmp_path)) as reader, ExitStack() as servers:
        if {"Channels", "MQTT"} & (sections - lacking.keys()):
            reader.ports["1883"] = servers.enter_context(mosquitto()).port
        if {"Channels", "Redis"} & (sections - lacking.keys()):
            reader.ports["6379"] = servers.enter_context(redis_server()).port
        if any(SERVER in NEEDS.get((document, each), ()) for each in sections - lacking.keys()):
            servers.enter_context(database_for_readers(monkeypatch))
        for block in followed:
            if block.section not in lacking:
                reader.follow(block)
    if lacking:
        words = [f"{', '.join(names)} for {section!r}" for section, names in lacking.items()]
        pytest.skip(f"needs {'; '.join(words)}; the rest was run")


def absent(names: Iterable[str]) -> list[str]:
    """Say which of some programs and libraries are not here."""
    return [name for name in names if not is_here(name)]


def is_here(name: str) -> bool:
    if name == SERVER:
        return shared.is_missing() is None
    return bool(find(name) or importlib.util.find_spec(name))


@contextmanager
def database_for_readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give those who follow a document a database, psql, and what their environment says of it."""
    url = databases.make()
    address = url.replace("+psycopg", "")
    monkeypatch.setenv("DATABASE_URL", address)
    monkeypatch.setenv("DATABASE_URL_WITHOUT_USER", address.replace("postgres@", ""))
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], str(programs())]))
    yield
    databases.drop(url)


def test_what_the_documents_need_is_told_of_headings_that_they_have() -> None:
    """No section is skipped, or followed apart, under a name that it no longer has."""
    found = {(document, block.section) for document in DOCUMENTS for block in blocks(document)}

    assert {(README, APART), *NEEDS} <= found


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_every_block_of_a_document_is_run(document: Path) -> None:
    """Each is a session, commands or a file that this module runs, or says what else runs it."""
    found = blocks(document)
    fences = re.findall(r"^\s*(?:```|~~~)", document.read_text(encoding="utf-8"), re.MULTILINE)

    assert [block for block in found if not block.run_by] == []
    assert len(fences) == 2 * len(found), "a fence that is indented, or has more than a language"
    assert all((ROOT / block.run_by).is_file() for block in found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_every_file_of_a_document_is_run(document: Path) -> None:
    """A script that a document shows is also started by it."""
    text = document.read_text(encoding="utf-8")

    for name in files(document):
        assert f"\n$ python {name}\n" in text


def test_the_readme_is_short() -> None:
    """Who opens the README sees its end: what few need stands in documents of its own."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 900


def test_the_readme_has_two_commands_for_a_fresh_clone() -> None:
    """The demo and the tests are one line each, which CI takes from the README and runs."""
    commands = [block.text for block in blocks(README) if block.language == "sh"]

    assert [command.count("\n") for command in commands] == [1, 1]
    assert commands[0].endswith("-m beryl_groups demo\n")
    assert commands[1].endswith("-m pytest -q\n")


def anchors(document: Path) -> set[str]:
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "document",
    [*ROOT.glob("*.md"), *(ROOT / "beryl_groups").glob("*/README.md")],
    ids=shown,
)
def test_links_within_the_documents_lead_somewhere(document: Path) -> None:
    """A link to a heading or to a file finds it."""
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            there = document.parent / name if name else document
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), target


def modules() -> Iterator[ModuleType]:
    yield beryl_groups
    yield aio
    for package in (beryl_groups, beryl_groups.channels, aio):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            # Alembic alone can import its environment, and a revision has no examples.
            if found.name not in {"beryl_groups.migrations", "beryl_groups.__main__"}:
                yield importlib.import_module(found.name)


def docstrings() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in modules():
        yield from (test for test in finder.find(module) if test.examples)


@pytest.mark.parametrize("test", list(docstrings()), ids=lambda test: test.name)
def test_the_examples_of_docstrings_do_what_they_say(
    test: doctest.DocTest, groups: Groups, tmp_path: Path
) -> None:
    """Every example of a docstring prints what it shows.

    It has ``groups``, a handle on a group of two topics, and ``folder``, an empty folder. In
    ``beryl_groups.aio`` the handle is an async one.
    """
    groups.create("team:engineering")
    groups.add("team:engineering", "room:frontend", "room:backend")
    folder = tmp_path / "folder"
    folder.mkdir()
    names = {"beryl_groups": beryl_groups, "groups": groups, "folder": folder}

    test.globs = {**test.globs, **names}
    with asyncio.Runner() as loop:
        if test.name.startswith(aio.__name__):
            handle = loop.run(opened(tmp_path / "groups.db"))
            test.globs |= {"aio": aio, "groups": handle}
        run_session(test, loop)
        if test.name.startswith(aio.__name__):
            loop.run(handle.close())


async def opened(path: Path) -> aio.AsyncGroups:
    return await aio.start(path)


def public_things() -> Iterator[tuple[str, object]]:
    """Give each public thing, and what is public in the classes among them."""
    for module in (beryl_groups, aio):
        for name in module.__all__:
            thing = getattr(module, name)
            yield name, thing
            if inspect.isclass(thing) and not issubclass(thing, Exception):
                fields = getattr(thing, "__dataclass_fields__", {})  # of which its docstring tells
                for attribute in dir(thing):
                    if not attribute.startswith("_") and attribute not in fields:
                        yield f"{name}.{attribute}", inspect.getattr_static(thing, attribute)


@pytest.mark.parametrize(("name", "thing"), list(public_things()))
def test_what_is_public_has_a_docstring(name: str, thing: object) -> None:
    """Every public class, function and method says in a sentence what it is or does."""
    documented = inspect.getdoc(thing) or ""

    assert documented.splitlines()[:1], name
    assert documented.splitlines()[0].endswith((".", "?")), name


@pytest.mark.parametrize(
    ("name", "thing"),
    [("start", beryl_groups.start), ("start", aio.start)]
    + [
        (name, thing)
        for name, thing in public_things()
        if name.startswith(("Groups.", "AsyncGroups."))
    ],
)
def test_every_method_has_an_example(name: str, thing: object) -> None:
    """Every public method of a handle shows how it is called; another test runs the examples."""
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(thing) or "")
    call = f"{name.rpartition('.')[2]}("

    assert any(call in example.source for example in examples), name
