"""Broadcasts from the command line, as lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.commandline.running import filled, misuse, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def team(path: Path) -> Path:
    """A database of one group."""
    return filled(path, {"team": ["room:c", "room:a", "room:b"]})


def test_a_broadcast_is_a_line_for_each_topic(team: Path) -> None:
    """A line is the topic, the event and the payload in JSON, with tabs between them."""
    assert run("broadcast", team, "team", "deploy", '{"env":"prod", "n": 1.50}').lines == [
        'room:a\tdeploy\t{"env": "prod", "n": 1.5}',
        'room:b\tdeploy\t{"env": "prod", "n": 1.5}',
        'room:c\tdeploy\t{"env": "prod", "n": 1.5}',
    ]


def test_without_a_payload_it_is_null(team: Path) -> None:
    """PAYLOAD-JSON may be left out, and is any JSON; a payload in several lines is shown in one."""
    assert run("broadcast", team, "team", "lunch").lines[0] == "room:a\tlunch\tnull"
    for text in ("null", "7", '"text"', "[1,\n\t2]", "-0.5e3", "true", '"\\n"'):
        line = run("broadcast", team, "team", "lunch", "--", text).lines[0]
        assert json.loads(line.split("\t")[2]) == json.loads(text)


def test_the_payload_may_come_from_standard_input(team: Path) -> None:
    """`-` is the JSON on standard input."""
    done = run("broadcast", team, "team", "lunch", "-", stdin='{\n  "at": "12:30"\n}\n')

    assert done.lines[0] == 'room:a\tlunch\t{"at": "12:30"}'


def test_topics_can_be_left_out(team: Path) -> None:
    """`--exclude` may be given several times, and `-` is the topics on standard input."""
    done = run("broadcast", team, "team", "e", "--exclude", "room:b", "--exclude", "nothing")
    assert done.lines == ["room:a\te\tnull", "room:c\te\tnull"]

    done = run("broadcast", team, "team", "e", "--exclude=-", stdin="room:a\nroom:b\n")
    assert done.lines == ["room:c\te\tnull"]


def test_a_group_that_is_not_there_has_no_topics(team: Path) -> None:
    """As in the library, a broadcast to nobody is no error."""
    assert run("broadcast", team, "nobody", "e").raw == b""
    assert run("broadcast", team, "nobody", "e", "--json").output == "[]\n"


def test_a_broadcast_in_json(team: Path) -> None:
    """`--json` gives an array of objects."""
    assert json.loads(run("broadcast", team, "team", "e", "[1]", "--json").raw) == [
        {"topic": f"room:{letter}", "event": "e", "payload": [1]} for letter in "abc"
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "it is no JSON: Expecting value (line 1, character 1)."),
        ("{'a': 1}", "it is no JSON: Expecting property name enclosed in double quotes (line 1"),
        ("lunch", "it is no JSON: Expecting value (line 1, character 1)."),
        ("[1,\n 2", "it is no JSON: Expecting ',' delimiter (line 2, character 3)."),
        ("NaN", "it is no JSON: NaN is no number there."),
        ("-Infinity", "it is no JSON: -Infinity is no number there."),
        ("[1e999]", "it is no JSON: the number 1e999 is too large."),
        ("9" * 5000, "it is no JSON: "),
        ("[" * 100_000, "it is nested too deep."),
    ],
)
def test_a_payload_that_is_no_json_is_wrong_usage(team: Path, payload: str, reason: str) -> None:
    """What is no JSON is told with the place, from an argument and from standard input."""
    sentence = f"Invalid value for 'PAYLOAD-JSON': {reason}"

    assert misuse("broadcast", team, "team", "e", "--", payload).startswith(sentence)
    assert misuse("broadcast", team, "team", "e", "-", stdin=payload).startswith(sentence)


def test_a_payload_that_is_no_text_is_wrong_usage(team: Path) -> None:
    """Standard input that is not in UTF-8 is no JSON either."""
    assert "it is not in UTF-8." in misuse("broadcast", team, "team", "e", "-", stdin=b"\xff")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--timeout", "5"], "--timeout goes with --to."),
        (["--to", "stdout:", "--json"], "--json shows what --to would send: give one of them."),
        (["--to", "stdout:", "--timeout", "0"], "Invalid value for '--timeout': timeout is"),
        (["--to", "stdout:", "--timeout", "nan"], "Invalid value for '--timeout': timeout is"),
        (["--to", "stdout:", "--timeout", "inf"], "Invalid value for '--timeout': timeout is"),
        (["--to", "stdout:", "--timeout", "x"], "Invalid value for '--timeout': 'x' is not a"),
        (["-", "--exclude", "-"], "Standard input can be read once: give '-' once."),
        (["--exclude=-", "--exclude=-"], "Standard input can be read once: give '-' once."),
    ],
)
def test_options_that_do_not_go_together(team: Path, options: list[str], sentence: str) -> None:
    """What could not be meant is wrong usage."""
    assert misuse("broadcast", team, "team", "e", *options).startswith(sentence)
