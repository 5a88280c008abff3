"""Take the picture of the desktop example: ``python -m tests.examples.screenshot [FILE]``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QApplication

import beryl_groups
from tests.examples.desktop import Window
from tests.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURE = Path(__file__).with_name("desktop.png")
GROUPS = {
    "floor:ground": ["lamp:hall", "lamp:kitchen", "plug:kettle"],
    "floor:upper": ["lamp:bedroom", "plug:heater"],
    "lamps": ["lamp:bedroom", "lamp:hall", "lamp:kitchen"],
    "night": ["lamp:hall", "plug:heater"],
}


def main(picture: Path) -> None:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = QApplication([])
    application.setStyle("Fusion")

    def wait_for(condition: Callable[[], bool]) -> None:
        wait_until(lambda: application.processEvents() or condition())

    with TemporaryDirectory() as folder:
        os.chdir(folder)
        with beryl_groups.start("home.db") as groups:
            for name, topics in GROUPS.items():
                groups.create(name)
                groups.add(name, *topics)
        window = Window("home.db")
        window.show()
        wait_for(lambda: window.group_names.list.count() == len(GROUPS))
        window.group_names.list.setCurrentRow(2)
        window.event_field.setText("power")
        window.payload_field.setText("off")
        window.broadcast_button.click()
        wait_for(lambda: window.statusBar().currentMessage() == "Done.")
        window.grab().save(str(picture))
        window.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else PICTURE).absolute())
