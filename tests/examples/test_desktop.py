"""The desktop example, driven as a user would, without a screen.

Each scene is played in a process of its own: Qt wants one application for a process, and threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import Closed, sqlite
from tests import processes
from tests.commandline.running import PROGRAM, environment, filled
from tests.processes import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.desktop import Names, Window

EXAMPLE = Path(__file__).with_name("desktop.py")


@pytest.fixture(autouse=True)
def qt() -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)


@pytest.fixture
def team(path: Path) -> Path:
    return filled(path, {"lamps": ["lamp:hall", "lamp:kitchen"], "night": ["lamp:hall"]})


def play(scene: Callable[[Any, Path], None], database: Path) -> None:
    """Open a window on the database in a process, and play the scene with it."""
    processes.finish(processes.start(_play, scene, database))


def _play(scene: Callable[[Any, Path], None], database: Path) -> None:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtWidgets import QApplication

    from tests.examples.desktop import Window

    _application = QApplication([])
    window = Window(str(database))
    window.show()
    scene(window, database)
    window.close()


def wait_for(condition: Callable[[], bool]) -> None:
    from PySide6.QtWidgets import QApplication

    def holds() -> bool:
        QApplication.processEvents()
        return condition()

    wait_until(holds)


def shown(names: Names) -> list[str]:
    return [names.list.item(row).text() for row in range(names.list.count())]


def click(button: Any) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def enter(names: Names, text: str) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.keyClicks(names.field, text)
    QTest.keyClick(names.field, Qt.Key.Key_Return)


def choose(names: Names, name: str) -> None:
    names.list.setCurrentRow(shown(names).index(name))


def message(window: Window) -> str:
    return window.statusBar().currentMessage()


def add_and_remove(window: Window, database: Path) -> None:
    enter(window.group_names, "plugs")
    wait_for(lambda: shown(window.group_names) == ["plugs"])
    for topic in ("kettle", "heater"):
        enter(window.topic_names, topic)
    wait_for(lambda: shown(window.topic_names) == ["heater", "kettle"])
    with beryl_groups.start(database) as groups:
        assert groups.topics("plugs") == {"kettle", "heater"}

    choose(window.topic_names, "kettle")
    click(window.topic_names.remove_button)
    wait_for(lambda: shown(window.topic_names) == ["heater"])
    enter(window.group_names, "fans")
    wait_for(lambda: shown(window.group_names) == ["fans", "plugs"])
    assert window.group_names.chosen == "plugs"
    click(window.group_names.remove_button)
    wait_for(lambda: shown(window.group_names) == ["fans"])
    assert shown(window.topic_names) == []


def test_what_is_clicked_is_written_and_shown(path: Path) -> None:
    """Groups and topics that are added and removed in the window are in the file and in view."""
    play(add_and_remove, path)

    with beryl_groups.start(path) as groups:
        assert list(groups) == ["fans"]


def refuse(window: Window, database: Path) -> None:
    for name, sentence in (("lamps", "exists already"), ("", "it is empty")):
        enter(window.group_names, name)
        wait_for(lambda sentence=sentence: sentence in message(window))  # type: ignore[misc]
    wait_for(lambda: shown(window.group_names) == ["lamps", "night"])


def test_what_is_refused_is_a_sentence_in_the_window(team: Path) -> None:
    """A name that is taken, or can be none, is told in the status bar."""
    play(refuse, team)


def broadcast(window: Window, database: Path) -> None:
    threads = set()
    window.log.model().rowsInserted.connect(lambda: threads.add(threading.current_thread()))
    wait_for(lambda: "lamps" in shown(window.group_names))
    choose(window.group_names, "lamps")
    window.event_field.setText("power")
    window.payload_field.setText("off")
    click(window.broadcast_button)
    wait_for(lambda: message(window) == "Done.")

    log = [window.log.item(row).text() for row in range(window.log.count())]
    assert log == ["lamp:hall: power off", "lamp:kitchen: power off"]
    assert threads == {threading.main_thread()}


def test_a_broadcast_arrives_in_the_window(team: Path) -> None:
    """The worker broadcasts through the signal, and each topic's event is shown by the window."""
    play(broadcast, team)


def watch(window: Window, database: Path) -> None:
    def run(*arguments: str) -> None:
        command = [PROGRAM, arguments[0], str(database), *arguments[1:]]
        subprocess.run(command, env=environment(), check=True, timeout=PATIENCE)

    wait_for(lambda: "night" in shown(window.group_names))
    choose(window.group_names, "night")
    run("add", "night", "heater")
    wait_for(lambda: shown(window.topic_names) == ["heater", "lamp:hall"])
    run("remove", "night", "heater")
    wait_for(lambda: shown(window.topic_names) == ["lamp:hall"])
    run("delete", "lamps")
    wait_for(lambda: shown(window.group_names) == ["night"])
    run("rename", "night", "evening")
    wait_for(lambda: shown(window.group_names) == ["evening"])
    assert window.topic_names.title() == "Topics of evening"
    run("rename", "evening", "night")
    wait_for(lambda: shown(window.group_names) == ["night"])
    assert window.group_names.chosen == "night"
    run("delete", "night")
    wait_for(lambda: shown(window.topic_names) == [])
    assert not window.broadcast_button.isEnabled()


@pytest.mark.slow
def test_what_another_process_changes_is_shown(team: Path) -> None:
    """Nobody has to click for it, and what was chosen stays so while it is there."""
    play(watch, team)


def stay_alive(window: Window, database: Path) -> None:
    from PySide6.QtCore import QTimer

    ticks: list[None] = []
    timer = QTimer(interval=20)
    timer.timeout.connect(lambda: ticks.append(None))
    timer.start()
    wait_for(lambda: shown(window.group_names) == ["lamps", "night"])
    with closing(sqlite.driver.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        enter(window.group_names, "plugs")
        wait_for(lambda: len(ticks) > 2)
        assert message(window) == "Working ..."
        choose(window.group_names, "lamps")
        assert shown(window.topic_names) == ["lamp:hall", "lamp:kitchen"]
        writer.execute("ROLLBACK")
    wait_for(lambda: shown(window.group_names) == ["lamps", "night", "plugs"])


def test_while_another_process_writes_the_window_answers(team: Path) -> None:
    """A write that has to wait leaves the window's thread free to read, and lands in the end."""
    play(stay_alive, team)


def close(window: Window, database: Path) -> None:
    enter(window.group_names, "last")
    window.close()
    with pytest.raises(Closed):
        list(window.groups)
    assert [each.name for each in database.parent.iterdir()] == [database.name]


def test_closing_the_window_closes_the_file(team: Path) -> None:
    """What was asked for before the window was closed is in the file, which nobody holds open."""
    play(close, team)

    with beryl_groups.start(team) as groups:
        assert list(groups) == ["lamps", "last", "night"]


def catches(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> number - 1 & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux whether a signal is expected")
def test_a_signal_closes_the_window(team: Path) -> None:
    """The example started from a shell ends well when it is told to."""
    command = [sys.executable, str(EXAMPLE), str(team)]
    with subprocess.Popen(command, env=environment(QT_QPA_PLATFORM="offscreen")) as started:
        try:
            wait_until(lambda: catches(started.pid, signal.SIGTERM))
            started.send_signal(signal.SIGTERM)
            assert started.wait(PATIENCE) == 0
        finally:
            started.kill()
    assert [each.name for each in team.parent.iterdir()] == [team.name]
