"""Names of any characters, in lines and in JSON, out and back in."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import beryl_groups
from beryl_groups.lines import json_text, line_of, name_of
from tests.commandline.running import call, misuse, refusal, run

if TYPE_CHECKING:
    from pathlib import Path

LINE_BREAKS = ["\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]

AWKWARD = [
    "plain",
    "two words ",
    " \u00a0spaces",
    "-",
    "--json",
    "it's",
    '"quoted"',
    '"half',
    "back\\slash",
    "back\\nslash",
    "tab\tin it",
    "red \x1b[31m",
    "csi \x9b31m",
    "bell\a del\x7f",
    "\ufeffmark",
    "#hash $dollar `tick` *",
    "日本 😀 é e\u0301",
    "\U0010ffff\ud7ff\ue000",
    *(f"a{character}b" for character in LINE_BREAKS),
]

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
)


@given(names)
def test_a_name_stands_in_a_line_and_comes_back(name: str) -> None:
    """Any name is one line, to a reader of bytes and to one of Unicode, and comes back exactly."""
    line = line_of(name)

    assert line.splitlines() == [line]
    assert not re.search("[\x00-\x1f\x7f-\x9f\ufeff]", line)
    assert name_of(line) == name


@given(names)
def test_a_name_is_shown_in_one_way_and_no_two_names_alike(name: str) -> None:
    """A line is the name itself, or a JSON string that no other name is shown as."""
    line = line_of(name)

    assert line == name or (line.startswith('"') and json.loads(line) == name)
    assert name.startswith('"') <= (line != name)


@given(names, st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8"]))
def test_a_name_stands_in_a_line_of_any_encoding(name: str, encoding: str) -> None:
    """What an encoding lacks is written as JSON escapes it."""
    assert name_of(line_of(name, encoding).encode(encoding).decode(encoding)) == name


@given(st.recursive(st.none() | st.booleans() | st.integers() | names, st.lists))
def test_json_is_one_line_of_the_same_value(value: object) -> None:
    """JSON text holds no control character, and means what it meant."""
    text = json_text(value)

    assert text.splitlines() == [text]
    assert json.loads(text) == value


@pytest.fixture
def awkward(path: Path) -> Path:
    """A database whose groups have awkward names, as has the topic of each."""
    with beryl_groups.start(path) as groups, groups.transaction() as transaction:
        for name in AWKWARD:
            transaction.create(name)
            transaction.add(name, name)
    return path


def test_each_name_has_a_line_of_its_own(awkward: Path) -> None:
    """`list` prints as many lines as there are groups, whatever splits them."""
    for arguments in (["list"], ["list", "--counts"], ["list", "--json"]):
        output = run(arguments[0], awkward, *arguments[1:]).output
        assert len(output.splitlines()) == len(output.split("\n")) - 1 == len(AWKWARD)


def test_every_output_gives_the_exact_names(awkward: Path) -> None:
    """Lines and JSON of each command that shows names give them back code point by code point."""
    assert list(map(name_of, run("list", awkward).lines)) == sorted(AWKWARD)
    assert json.loads(run("list", awkward, "--json").raw) == sorted(AWKWARD)
    counts = [line.split("\t") for line in run("list", awkward, "--counts").lines]
    assert [name_of(name) for name, _ in counts] == sorted(AWKWARD)
    for name in AWKWARD:
        for command in ("topics", "groups-of"):
            assert [*map(name_of, run(command, awkward, "--", name).lines)] == [name]
            assert json.loads(run(command, awkward, "--json", "--", name).raw) == [name]


def test_lines_of_one_command_are_input_of_another(awkward: Path) -> None:
    """What is printed in lines and read with `-` is the same set of names."""
    run("create", awkward, "all of them")
    run("add", awkward, "all of them", "-", stdin=run("list", awkward).raw)

    with beryl_groups.start(awkward) as groups:
        assert groups.topics("all of them") == {*AWKWARD, "all of them"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_streams_of_another_encoding_carry_every_name(awkward: Path, encoding: str) -> None:
    """Where standard streams are not in UTF-8, output is in their encoding, and input too."""
    done = run("list", awkward, encoding=encoding)
    assert [name_of(line) for line in done.raw.decode(encoding).split("\n")[:-1]] == (
        sorted(AWKWARD)
    )
    assert json.loads(run("list", awkward, "--json", encoding=encoding).raw.decode(encoding)) == (
        sorted(AWKWARD)
    )
    run("delete", awkward, "-", stdin=done.raw, encoding=encoding)
    assert run("list", awkward).lines == []


def test_an_empty_line_is_no_name(path: Path) -> None:
    """Empty lines of standard input are passed over, and so is a mark at its beginning."""
    run("create", path, "-", stdin="\ufeff\r\na\r\n\n b \n")

    assert run("list", path).lines == [" b ", "a"]


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        (b"a\n\xff\n", "Line 2 of standard input cannot be used: it is not in UTF-8."),
        (b'a\n\n"b\n', "Line 3 of standard input cannot be used: it begins with a quotation mark"),
        (b'"a" b', "Line 1 of standard input cannot be used: it begins with a quotation mark"),
        (b'a\n""\n', "Line 2 of standard input cannot be used: The name '' cannot be stored"),
        (b"a\nb\0c\n", "Line 2 of standard input cannot be used: The name 'b\\x00c' cannot be"),
        (b'"\\ud800"', "Line 1 of standard input cannot be used: The name '\\ud800' cannot be"),
        (b"x" * 1025, "Line 1 of standard input cannot be used: The name 'xxx"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_done(path: Path, stdin: bytes, sentence: str) -> None:
    """A line of standard input that is no name is told by its number, and no file is made."""
    assert refusal("create", path, "first", "-", stdin=stdin).startswith(sentence)
    assert not path.exists()


def test_arguments_that_are_no_names_are_refused(path: Path) -> None:
    """An argument is a name as it stands: without escapes, and refused by the library's rules."""
    run("create", path, r'"a\tb"')

    assert json.loads(run("list", path, "--json").raw) == [r'"a\tb"']
    assert refusal("create", path, "") == "The name '' cannot be stored: it is empty."
    assert "unpaired surrogate" in refusal("create", path, "\ud800")


@pytest.mark.parametrize(
    ("arguments", "which"),
    [
        (["create", "DB", "caf\udce9"], "NAME..."),
        (["add", "DB", "team", "room", "caf\udce9"], "TOPIC..."),
        (["topics", "DB", "caf\udce9"], "GROUP"),
        (["rename", "DB", "team", "caf\udce9"], "NEW"),
        (["broadcast", "DB", "team", "caf\udce9"], "EVENT"),
        (["broadcast", "DB", "team", "e", "caf\udce9"], "[PAYLOAD-JSON]"),
        (["list", "DB", "--prefix", "caf\udce9"], "--prefix"),
        (["broadcast", "DB", "team", "e", "--exclude", "caf\udce9"], "--exclude"),
    ],
)
def test_an_argument_that_is_no_text_is_wrong_usage(
    path: Path, arguments: list[str], which: str
) -> None:
    """What is not in the encoding of the system is told with its bytes, and so by each command."""
    given = [path if argument == "DB" else argument for argument in arguments]

    sentence = misuse(*given)

    assert sentence == f"Invalid value for '{which}': it is not in UTF-8: b'caf\\xe9'.\n"
    assert not path.exists()


def test_a_database_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    """A file is found by its bytes, whatever they say."""
    database = tmp_path / "caf\udce9.db"
    run("create", database, "team")

    assert run("list", database).lines == ["team"]


def test_an_event_may_be_anything(path: Path) -> None:
    """An event that no encoding carries is shown as a name would be."""
    run("create", path, "team")
    run("add", path, "team", "room")

    done = call("broadcast", path, "team", "tab\t\ud800", '"\\ud800\\u0085"')

    assert done.output == 'room\t"tab\\t\\ud800"\t"\\ud800\\u0085"\n'
