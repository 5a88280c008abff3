"""A window on a file of groups: ``python tests/examples/desktop.py [DATABASE]``.

Needs PySide6. Open it twice on one file, or edit the file with ``beryl-groups`` or the
``sqlite3`` shell beside it: each window shows what the others change.

What the window shows is what a watch has told it, whoever made the change, so it reads nothing. A
write may have to wait, for the storage or for another process, so a worker thread makes it; and a
broadcast, whose callback may be slow.
"""

from __future__ import annotations

import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from PySide6.QtCore import QSocketNotifier, Qt, Signal
from PySide6.QtWidgets import (
    QApplication,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

import beryl_groups
from beryl_groups import GroupError, Groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QCloseEvent

    from beryl_groups import Change


def row(*widgets: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget)
    return layout


class Names(QGroupBox):
    """A list of names, with a field to add one and a button to remove the chosen one."""

    def __init__(self, title: str, kind: str) -> None:
        super().__init__(title)
        self.list = QListWidget()
        self.list.setSpacing(2)
        self.list.setSortingEnabled(True)
        self.field = QLineEdit(placeholderText=f"New {kind}")
        self.add_button = QPushButton("Add")
        self.remove_button = QPushButton("Remove")
        self.field.returnPressed.connect(self.add_button.click)

        layout = QVBoxLayout(self)
        layout.addWidget(self.list)
        layout.addLayout(row(self.field, self.add_button, self.remove_button))

    @property
    def chosen(self) -> str | None:
        item = self.list.currentItem()
        return item.text() if item else None

    def take_new(self) -> str:
        name = self.field.text()
        self.field.clear()
        return name

    def item(self, name: str) -> QListWidgetItem:
        (found,) = self.list.findItems(name, Qt.MatchFlag.MatchExactly)
        return found

    def add(self, *names: str) -> None:
        self.list.addItems(names)
        if self.chosen is None:
            self.list.setCurrentRow(0)

    def remove(self, *names: str) -> None:
        for name in names:
            self.list.takeItem(self.list.row(self.item(name)))


class Window(QMainWindow):
    """Groups, the topics of the chosen one, and the events that were sent."""

    received = Signal(str, str, object)
    """Its ``emit`` is the callback of broadcasts: Qt takes each event to the window's thread."""

    changed = Signal(object)
    """Its ``emit`` is the callback of a watch, whose thread is another one than the window's."""

    ended = Signal(object)
    """What the worker was asked for is done, or has failed with this error."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self.groups: Groups = beryl_groups.start(database)
        self.known: dict[str, set[str]] = {}
        self.worker = ThreadPoolExecutor(1)  # one: what is clicked first is written first

        self.group_names = Names("Groups", "group")
        self.topic_names = Names("Topics", "topic")
        self.event_field = QLineEdit("hello", placeholderText="Event")
        self.payload_field = QLineEdit(placeholderText="Payload")
        self.broadcast_button = QPushButton("Broadcast to the group")
        self.log = QListWidget()
        self.arrange()
        self.setWindowTitle(f"{database} - beryl_groups")

        self.group_names.list.currentItemChanged.connect(self.show_topics)
        self.group_names.add_button.clicked.connect(self.add_group)
        self.group_names.remove_button.clicked.connect(self.remove_group)
        self.topic_names.add_button.clicked.connect(self.add_topic)
        self.topic_names.remove_button.clicked.connect(self.remove_topic)
        self.broadcast_button.clicked.connect(self.broadcast)
        self.received.connect(self.show_event)
        self.ended.connect(self.show_outcome)
        self.changed.connect(self.show_change)
        self.show_topics()
        self.groups.watch(self.changed.emit, known={})

    def arrange(self) -> None:
        events = QGroupBox("Events")
        inside = QVBoxLayout(events)
        inside.addLayout(row(self.event_field, self.payload_field, self.broadcast_button))
        inside.addWidget(self.log)
        everything = QWidget()
        layout = QVBoxLayout(everything)
        layout.addLayout(row(self.group_names, self.topic_names), 3)
        layout.addWidget(events, 2)
        self.setCentralWidget(everything)
        self.resize(680, 480)
        self.statusBar().showMessage("Ready.")

    def show_change(self, change: Change) -> None:
        """Take a step from what is shown to what the file holds."""
        group, topics, old_name = change.group, change.topics, change.old_name
        if change.kind == "created":
            self.known[group] = set(topics)
            self.group_names.add(group)
        elif change.kind == "deleted":
            del self.known[group]
            self.group_names.remove(group)
        elif old_name is not None:
            self.known[group] = self.known.pop(old_name)
            self.group_names.item(old_name).setText(group)
            self.show_topics()
        elif change.kind == "added":
            self.known[group] |= topics
            if group == self.group_names.chosen:
                self.topic_names.add(*topics)
        else:
            self.known[group] -= topics
            if group == self.group_names.chosen:
                self.topic_names.remove(*topics)

    def show_topics(self) -> None:
        group = self.group_names.chosen
        self.topic_names.list.clear()
        self.topic_names.add(*self.known.get(group or "", ()))
        self.topic_names.setTitle(f"Topics of {group}" if group else "Topics")
        self.topic_names.setEnabled(group is not None)
        self.broadcast_button.setEnabled(group is not None)

    def show_event(self, topic: str, event: str, payload: object) -> None:
        self.log.addItem(f"{topic}: {event} {payload}")
        self.log.scrollToBottom()

    def add_group(self) -> None:
        self.work(self.groups.create, self.group_names.take_new())

    def remove_group(self) -> None:
        if group := self.group_names.chosen:
            self.work(self.groups.delete, group)

    def add_topic(self) -> None:
        if group := self.group_names.chosen:
            self.work(self.groups.add, group, self.topic_names.take_new())

    def remove_topic(self) -> None:
        if (group := self.group_names.chosen) and (topic := self.topic_names.chosen):
            self.work(self.groups.remove, group, topic)

    def broadcast(self) -> None:
        if group := self.group_names.chosen:
            event, payload = self.event_field.text(), self.payload_field.text()
            self.work(self.groups.broadcast, self.received.emit, group, event, payload)

    def work(self, call: Callable[..., None], *arguments: object) -> None:
        """Have the worker make a call, and show how it ended."""
        self.statusBar().showMessage("Working ...")
        # The worker tells it by a signal, too: widgets are for the window's thread.
        self.worker.submit(call, *arguments).add_done_callback(
            lambda done: self.ended.emit(done.exception())
        )

    def show_outcome(self, error: BaseException | None) -> None:
        self.statusBar().showMessage("Done." if error is None else str(error))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Let what was asked for end, and close the file."""
        self.hide()
        self.worker.shutdown()
        self.groups.close()
        event.accept()


def close_on_signals(window: Window) -> list[object]:
    """Have signals close the window, and return what has to be kept for that.

    Python hears of a signal only when it runs, and Qt does not call it while nothing happens: so
    the signal writes to a socket, on which Qt waits.
    """
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    notifier = QSocketNotifier(woken.fileno(), QSocketNotifier.Type.Read)
    notifier.activated.connect(window.close)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return [wake, woken, notifier]


def main(arguments: list[str]) -> int:
    application = QApplication(arguments)
    application.setStyle("Fusion")
    try:
        window = Window(arguments[1] if len(arguments) > 1 else "groups.db")
    except GroupError as error:
        QMessageBox.critical(None, "beryl_groups", str(error))
        return 1
    _kept = close_on_signals(window)
    window.show()
    return application.exec()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
