"""A window on a file of groups: ``python tests/examples/desktop.py [DATABASE]``.

Needs PySide6. Open it twice on one file, or edit the file with ``beryl-groups`` or the
``sqlite3`` shell beside it: each window shows what the others change.

Reads are made where they are needed, in the window's thread: no read waits for a writer, and one
that repeats is answered from memory in microseconds. A write may have to wait, for the storage or
for another process, so a worker thread makes it; and a broadcast, whose callback may be slow.
"""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import (
    QApplication,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
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

LOOK_EVERY = 250
"""Milliseconds between two looks whether another process has changed something."""


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

    def show_names(self, names: list[str]) -> None:
        """Show these, with the same one chosen as before where it is still there."""
        if names == [self.list.item(row).text() for row in range(self.list.count())]:
            return
        chosen = self.chosen
        self.list.clear()
        self.list.addItems(names)
        if names:
            self.list.setCurrentRow(names.index(chosen) if chosen in names else 0)


class Window(QMainWindow):
    """Groups, the topics of the chosen one, and the events that were sent."""

    received = Signal(str, str, object)
    """Its ``emit`` is the callback of broadcasts: Qt takes each event to the window's thread."""

    ended = Signal(object)
    """What the worker was asked for is done, or has failed with this error."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self.groups: Groups = beryl_groups.start(database)
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
        self.timer = QTimer(self, interval=LOOK_EVERY)
        self.timer.timeout.connect(self.refresh)
        self.timer.start()
        self.refresh()

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

    def refresh(self) -> None:
        """Show what the file holds now."""
        try:
            self.group_names.show_names(self.groups.list_groups())
        except GroupError as error:  # the storage failed; the next look may do better
            self.statusBar().showMessage(str(error))
        self.show_topics()

    def show_topics(self) -> None:
        group, topics = self.group_names.chosen, []
        try:
            topics = sorted(self.groups.topics(group)) if group else []
        except GroupError as error:  # such as that another process has just deleted the group
            self.statusBar().showMessage(str(error))
        self.topic_names.show_names(topics)
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
        self.refresh()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Let what was asked for end, and close the file."""
        self.timer.stop()
        self.hide()
        self.worker.shutdown()
        self.groups.close()
        event.accept()


def main(arguments: list[str]) -> int:
    application = QApplication(arguments)
    application.setStyle("Fusion")
    try:
        window = Window(arguments[1] if len(arguments) > 1 else "groups.db")
    except GroupError as error:
        QMessageBox.critical(None, "beryl_groups", str(error))
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):  # Python sees them when the timer calls it
        signal.signal(number, lambda *_: QTimer.singleShot(0, window.close))
    window.show()
    return application.exec()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
