"""``connect("stdout:")``: a line for each topic."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups.channels import SendFailed, connect
from tests.commandline.running import filled, run

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups


def test_standard_output_gets_a_line_for_each_topic(
    groups: Groups, capsys: pytest.CaptureFixture[str]
) -> None:
    """Topic, event and payload in three columns, whatever the names hold, and no two alike."""
    groups.create("odd")
    groups.add("odd", "a\tb\nc", "room:ä", "\x1b[31m\u2028", "\\n", '"\\n"')
    payload = {"text": "one\ntwo\x85\x7f", "number": 1.5}
    with connect("stdout:") as channels:
        groups.broadcast(channels, "odd", "e\r", payload)

    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [topic for topic, _, _ in lines] == [
        r'"\u001b[31m\u2028"',
        r'"\"\\n\""',
        r"\n",
        r'"a\tb\nc"',
        "room:ä",
    ]
    assert {event for _, event, _ in lines} == {r'"e\r"'}
    assert all(json.loads(body) == payload for _, _, body in lines)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_command_line_and_the_callback_write_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """A broadcast looks the same from a shell and from Python, in any encoding."""
    filled(path, {"odd": ["tab\t", '"', "ä😀", "\ufeffmark"]})
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding) as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        with beryl_groups.start(path) as groups, connect("stdout:") as channels:
            groups.broadcast(channels, "odd", "é\x07", {"é": "\x9b😀"})
        assert (
            written.getvalue()
            == run("broadcast", path, "odd", "é\x07", '{"é": "\\u009b😀"}', encoding=encoding).raw
        )


def test_a_closed_pipe_is_told_once_at_the_end(
    groups: Groups, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the reader has gone away, the topics are not logged one by one."""
    groups.create("team")
    groups.add("team", "room:a", "room:b")
    reader, writer = os.pipe()
    os.close(reader)
    with suppress(BrokenPipeError), io.TextIOWrapper(io.FileIO(writer, "w")) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(BrokenPipeError), connect("stdout:") as channels:
            groups.broadcast(channels, "team", "e", None)
    assert caplog.records == []


def test_what_standard_output_cannot_show_is_told(
    groups: Groups, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A payload that JSON cannot carry is logged for its topic, and the block fails."""
    groups.create("team")
    groups.add("team", "room:a")
    with pytest.raises(SendFailed, match=r"^1 of the messages"), connect("stdout:") as channels:
        groups.broadcast(channels, "team", "e", object())
    assert capsys.readouterr().out == ""
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
