"""The chat example in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import beryl_groups
from tests.commandline.running import environment, run
from tests.examples.browser import Page, browser
from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTED = "document.querySelector('#state')?.textContent === 'is connected'"
EXAMPLE = Path(__file__).with_name("rooms.py")


@contextmanager
def server(path: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Have the example serve for the length of the block, and give the port at which it does."""
    command = [sys.executable, str(EXAMPLE), str(path), str(port)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            address = in_thread(started.stdout.readline).result(PATIENCE)
            yield started, urlsplit(address).port or 0
        finally:
            started.kill()


def room(name: str) -> str:
    """Return an expression for the text of a room, which is empty where it is not shown."""
    return (
        "[...document.querySelectorAll('section')].filter(each => "
        f"each.querySelector('.room').textContent === {json.dumps(name)})"
        ".map(each => each.innerText).join()"
    )


def shows(page: Page, name: str, text: str) -> None:
    page.wait_for(f"{room(name)}.includes({json.dumps(text)})")


def enter(page: Page, form: str, text: str) -> None:
    page.evaluate(
        f"(form => {{ form.querySelector('input').value = {json.dumps(text)};"
        f"form.requestSubmit() }})(document.querySelector({json.dumps(form)}))"
    )


@pytest.mark.slow
def test_a_room_outlives_the_server(path: Path, tmp_path: Path) -> None:
    """Who was in a room is back in it after a kill, and sees who comes and goes, from wherever."""
    pytest.importorskip("socketio", reason="needs python-socketio")
    pytest.importorskip("uvicorn", reason="needs uvicorn")
    with browser(tmp_path / "profile") as chromium:
        with server(path) as (started, port):
            ada = chromium.open(f"http://127.0.0.1:{port}/#ada")
            grace = chromium.open(f"http://127.0.0.1:{port}/#grace")
            for page in (ada, grace):
                page.wait_for(CONNECTED)
                enter(page, "#join", "lobby")
            for page in (ada, grace):
                shows(page, "lobby", "ada, grace")
            enter(ada, "section form", "Good morning")
            for page in (ada, grace):
                shows(page, "lobby", "ada Good morning")
            started.kill()
            started.wait(PATIENCE)
        for page in (ada, grace):
            page.wait_for(f"!({CONNECTED})")

        # Meanwhile somebody comes, and somebody is put into another room.
        run("add", path, "lobby", "alan")
        run("add", path, "kitchen", "grace", "--create")

        with server(path, port):
            for page in (ada, grace):
                page.wait_for(CONNECTED)
                shows(page, "lobby", "ada, alan, grace")
            shows(grace, "kitchen", "grace")
            enter(grace, "section form", "Here again")
            shows(ada, "lobby", "grace Here again")
            run("remove", path, "lobby", "alan")
            run("rename", path, "kitchen", "cellar")
            for page in (ada, grace):
                shows(page, "lobby", "ada, grace")
            shows(grace, "cellar", "grace")
            grace.wait_for(f"{room('kitchen')} === ''")
            grace.evaluate("document.querySelector('.leave').click()")
            ada.wait_for(f"!{room('lobby')}.includes('ada, grace')")
            assert ada.evaluate(f"{room('kitchen')} + {room('cellar')}") == ""
            run("delete", path, "lobby")
            ada.wait_for(f"{room('lobby')} === ''")
    with beryl_groups.start(path) as groups:
        assert list(groups) == ["cellar"]
