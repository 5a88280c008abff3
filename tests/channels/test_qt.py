"""A Qt signal's ``emit`` as the callback."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.processes import PATIENCE, in_thread

if TYPE_CHECKING:
    from beryl_groups import Groups

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
core = pytest.importorskip("PySide6.QtCore", reason="needs PySide6", exc_type=ImportError)


class Window(core.QObject):  # type: ignore[misc, name-defined]
    """What a window is to a broadcast: a signal, and slots that want to run in its own thread."""

    received = core.Signal(str, str, object)

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, str, object]] = []
        self.threads: set[threading.Thread] = set()
        self.received.connect(self.show)
        self.loop = core.QEventLoop()

    def show(self, topic: str, event: str, payload: object) -> None:
        self.threads.add(threading.current_thread())
        self.events.append((topic, event, payload))
        if event == "end":
            self.loop.quit()


@pytest.fixture
def window() -> Window:
    application = core.QCoreApplication.instance() or core.QCoreApplication([])
    window = Window()
    window.application = application
    return window


@pytest.fixture
def team(groups: Groups) -> Groups:
    groups.create("team")
    groups.add("team", "room:ä", "room:😀")
    return groups


def test_a_broadcast_of_another_thread_arrives_in_the_thread_of_the_receiver(
    team: Groups, window: Window
) -> None:
    """The worker's broadcast returns, and the window's slots run later, in the window's thread."""
    payload = {"env": ["prod"]}

    def work() -> None:
        team.broadcast(window.received.emit, "team", "deploy", payload)
        assert window.events == []  # the window's thread waits for this one
        window.received.emit("", "end", None)

    in_thread(work).result(PATIENCE)
    window.loop.exec()

    assert window.events == [
        ("room:ä", "deploy", payload),
        ("room:😀", "deploy", payload),
        ("", "end", None),
    ]
    assert window.events[0][2] is payload
    assert window.threads == {threading.current_thread()}


def test_a_broadcast_of_the_receivers_own_thread_arrives_at_once(
    team: Groups, window: Window
) -> None:
    """In one thread a signal is a call: when the broadcast returns, the slots have run."""
    team.broadcast(window.received.emit, "team", "deploy", None)
    assert window.events == [("room:ä", "deploy", None), ("room:😀", "deploy", None)]


def test_each_window_that_is_connected_gets_the_event(team: Groups, window: Window) -> None:
    """A signal has any number of receivers; one that is disconnected gets nothing more."""
    second = Window()
    window.received.connect(second.show)
    team.broadcast(window.received.emit, "team", "first", None)
    window.received.disconnect(second.show)
    team.broadcast(window.received.emit, "team", "second", None)
    assert [event for _, event, _ in window.events] == ["first", "first", "second", "second"]
    assert [event for _, event, _ in second.events] == ["first", "first"]
