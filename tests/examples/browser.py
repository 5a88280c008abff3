"""A real browser for tests: Chromium without a window, driven through its DevTools."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import websocket

from tests.processes import PATIENCE, in_thread, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Page:
    """One tab, as its user has it before them."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript is in the page."""
        done = self._browser.call(
            "Runtime.evaluate", self._session, expression=expression, returnByValue=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        wait_until(lambda: bool(self.evaluate(expression)))

    def picture(self, **clip: float) -> bytes:
        done = self._browser.call(
            "Page.captureScreenshot", self._session, clip={**clip, "scale": 1}
        )
        return base64.b64decode(done["data"])


class Browser:
    """The connection to a browser."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(
            address, timeout=PATIENCE, suppress_origin=True, skip_utf8_validation=True
        )
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def call(self, method: str, session: str | None = None, **parameters: object) -> Any:
        with self._lock:
            number = next(self._numbers)
            message = {"id": number, "method": method, "params": parameters}
            self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
            while True:
                received = json.loads(self._socket.recv())
                if received.get("id") == number:
                    assert "error" not in received, received
                    return received["result"]

    def open(self, address: str) -> Page:
        # A context of its own, as another person has another browser.
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url=address, browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        return Page(self, attached["sessionId"])

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Give a browser for the length of the block, or skip the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs chromium")
    command = [
        program,
        "--headless=new",
        "--no-sandbox",  # which root may not have; the pages are the test's own
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        try:
            address = in_thread(lambda: _address(started)).result(PATIENCE)
            opened = Browser(address)
            try:
                yield opened
            finally:
                opened.close()
        finally:
            started.terminate()
            started.communicate(timeout=PATIENCE)


def _address(started: subprocess.Popen[str]) -> str:
    assert started.stderr is not None
    said = []
    for line in started.stderr:
        said.append(line)
        _, found, address = line.partition("DevTools listening on ")
        if found:
            return address.strip()
    raise AssertionError(f"the browser did not start: {''.join(said)}")
