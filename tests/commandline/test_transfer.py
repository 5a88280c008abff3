"""Export and import: one moment, every name, all or nothing."""

from __future__ import annotations

import json
import subprocess
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beryl_groups
from tests.commandline.running import filled, process, refusal, run
from tests.commandline.test_names import AWKWARD, names
from tests.processes import PATIENCE, in_thread, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups


def contents(path: Path) -> dict[str, frozenset[str]]:
    with beryl_groups.start(path) as groups:
        return {name: groups.topics(name) for name in groups}


def test_an_export_has_a_line_for_each_group(path: Path) -> None:
    """Groups, and topics in them, are in code point order, so that a diff can be read."""
    filled(
        path, {"eng": ["room:b", "room:a", "Room"], "Ärzte": [], "all": ["\U0001f600", "\uffee"]}
    )

    assert run("export", path).lines == [
        '{"group": "all", "topics": ["\uffee", "\U0001f600"]}',
        '{"group": "eng", "topics": ["Room", "room:a", "room:b"]}',
        '{"group": "Ärzte", "topics": []}',
    ]


def test_an_export_of_nothing_is_empty(path: Path) -> None:
    """A database without groups exports nothing, and nothing can be imported."""
    run("import", path, "-", stdin="")

    assert run("export", path).raw == b""


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.dictionaries(names, st.frozensets(names, max_size=5), max_size=8))
def test_export_and_import_keep_every_name(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, frozenset[str]]
) -> None:
    """What is imported from an export holds the same groups and topics, and exports the same."""
    folder = tmp_path_factory.mktemp("round")
    with beryl_groups.start(folder / "a.db") as groups, groups.transaction() as transaction:
        for name, topics in wanted.items():
            transaction.create(name)
            transaction.set_topics(name, topics)
    exported = run("export", folder / "a.db").raw
    run("import", folder / "b.db", "-", stdin=exported)

    assert contents(folder / "b.db") == wanted
    assert run("export", folder / "b.db").raw == exported
    assert exported.decode().splitlines() == exported.decode().split("\n")[:-1]


def test_an_export_is_in_utf8_whatever_the_streams_are_in(path: Path, tmp_path: Path) -> None:
    """The file is the same everywhere: it does not follow the encoding of a terminal."""
    filled(path, dict.fromkeys(AWKWARD, AWKWARD))
    file = tmp_path / "export.jsonl"
    file.write_bytes(run("export", path, encoding="latin-1").raw)
    assert file.read_bytes() == run("export", path).raw

    run("import", tmp_path / "copy.db", file, encoding="latin-1")

    assert contents(tmp_path / "copy.db") == dict.fromkeys(AWKWARD, frozenset(AWKWARD))


def test_an_import_sets_the_groups_it_names_and_no_others(path: Path) -> None:
    """A group that is there has exactly the topics of its line afterwards; the rest stays."""
    filled(path, {"changed": ["old", "both"], "untouched": ["x"]})
    lines = '{"topics": ["new", "both", "new"], "group": "changed"}\n{"group": "n", "topics": []}'

    for _ in range(2):  # so that it may be done again
        run("import", path, "-", stdin=lines)

        assert contents(path) == {"changed": {"new", "both"}, "untouched": {"x"}, "n": frozenset()}


GOOD = b'{"group": "good", "topics": ["a"]}\n'
SHAPE = 'it is not of the form {"group": "NAME", "topics": ["TOPIC", ...]}'


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "it is no JSON (Expecting property name enclosed in double quotes at character 2)"),
        (b"nonsense", "it is no JSON (Expecting value at character 1)"),
        (b'{"group": "x"}', SHAPE),
        (b'{"group": "x", "topics": [], "more": 1}', SHAPE),
        (b'{"group": 1, "topics": []}', SHAPE),
        (b'{"group": "x", "topics": "room:a"}', SHAPE),
        (b'["x", []]', SHAPE),
        (b"[" * 100_000, SHAPE),
        (b'{"group": "x", "topics": [1]}', "A name is a str, not int: 1"),
        (b'{"group": "x", "group": "y", "topics": []}', "it has a key twice"),
        (b'{"group": "good", "topics": []}', "it has the group 'good', as line 1 does"),
        (b'{"group": "", "topics": []}', "The name '' cannot be stored: it is empty"),
        (b'{"group": "x", "topics": ["a", "b\\u0000"]}', "The name 'b\\x00' cannot be stored"),
        (b'{"group": "\\ud800", "topics": []}', "The name '\\ud800' cannot be stored"),
        (b'{"group": "x", "topics": ["' + b"y" * 1025 + b'"]}', "The name 'yyy"),
        (b'{"group": "\xff", "topics": []}', "it is not in UTF-8"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_imported(path: Path, bad: bytes, reason: str) -> None:
    """One bad line keeps all others out, is told by its number, and no file is made."""
    sentence = refusal("import", path, "-", stdin=GOOD + b"\n" + bad + b"\n" + GOOD)

    assert sentence.startswith(
        f"Nothing was imported, for line 3 of standard input is bad: {reason}"
    )
    assert not path.exists()


def test_a_file_is_named_in_the_sentence(path: Path, tmp_path: Path) -> None:
    """A bad line of a file, and a file that cannot be read, are told with the name of the file."""
    file = tmp_path / "groups.jsonl"
    file.write_bytes(GOOD + b"{}\n")
    filled(path, {"team": ["x"]})

    assert f"line 2 of {str(file)!r} is bad" in refusal("import", path, file)
    assert refusal("import", path, tmp_path / "no.jsonl") == (
        f"The file '{tmp_path / 'no.jsonl'}' cannot be read: no such file or directory."
    )
    assert "is a directory" in refusal("import", path, tmp_path)
    assert contents(path) == {"team": {"x"}}


def test_an_import_that_fails_while_it_writes_leaves_nothing(path: Path) -> None:
    """What the database itself refuses half way takes all of the import along."""
    filled(path, {"team": ["x"]})
    with beryl_groups.start(path) as groups:
        groups._write(
            lambda connection: connection.execute(
                "CREATE INDEX no ON group_topics "
                "(CASE topic WHEN 'last' THEN abs(-9223372036854775804 - length(topic)) END)"
            )
        )
    lines = [
        json.dumps({"group": f"g{n}", "topics": ["last" if n == 99 else "a"]}) for n in range(100)
    ]

    assert "integer overflow" in refusal("import", path, "-", stdin="\n".join(lines))

    assert contents(path) == {"team": {"x"}}


@pytest.mark.slow
def test_nobody_waits_while_an_import_is_read(path: Path, groups: Groups) -> None:
    """However slowly the lines come, others write meanwhile."""
    with process("import", path, "-", stdin=subprocess.PIPE) as started:
        assert started.stdin is not None
        started.stdin.write(GOOD)
        started.stdin.flush()
        groups.create("meanwhile")
        assert list(groups) == ["meanwhile"]
        assert started.communicate(timeout=PATIENCE) == (b"", b"")
    assert list(groups) == ["good", "meanwhile"]


def move_for_ever(groups: Groups, topics: list[str], stop: threading.Event) -> None:
    """Keep every topic in one of two groups: there is no moment at which it is in none or both."""
    here, there = "left", "right"
    while not stop.is_set():
        with groups.transaction() as transaction:
            transaction.remove(here, *topics)
            transaction.add(there, *topics)
        here, there = there, here


@pytest.mark.slow
def test_an_export_is_of_one_moment_and_nobody_waits(path: Path, groups: Groups) -> None:
    """An export that stands still half way holds up no writer, and shows none of what it writes."""
    topics = [f"topic {number:04} {'x' * 900}" for number in range(300)]
    groups.create("left")
    groups.create("right")
    groups.add("left", *topics)
    stop = threading.Event()
    with process("export", path) as started:
        assert started.stdout is not None
        # More than a pipe holds: the export waits for us, and has its moment.
        beginning = started.stdout.read(1)
        before = groups.topics("left")
        writer = in_thread(partial(move_for_ever, groups, topics, stop))
        try:
            wait_until(lambda: groups.topics("left") != before)
        finally:
            stop.set()
            writer.result(PATIENCE)
        exported = beginning + started.stdout.read()
        assert started.wait(PATIENCE) == 0
    left, right = (json.loads(line)["topics"] for line in exported.splitlines())
    assert left == topics
    assert right == []
