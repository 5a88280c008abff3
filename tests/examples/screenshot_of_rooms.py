"""Take the picture of the chat example: ``python -m tests.examples.screenshot_of_rooms [FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.commandline.running import filled
from tests.examples.browser import browser
from tests.examples.test_rooms import CONNECTED, enter, server, shows

PICTURE = Path(__file__).with_name("rooms.png")
ROOMS = {"kitchen": ["ada", "grace"], "lobby": ["ada", "alan", "grace"]}
SAID = [
    ("grace", "kitchen", "The kettle is on."),
    ("ada", "lobby", "Good morning"),
    ("grace", "lobby", "Were you here all night?"),
    ("ada", "lobby", "No, but my rooms were."),
]


def main(picture: Path) -> None:
    with TemporaryDirectory() as folder:
        path = filled(Path(folder, "rooms.db"), ROOMS)
        with browser(Path(folder, "profile")) as chromium, server(path) as (_, port):
            pages = {
                name: chromium.open(f"http://127.0.0.1:{port}/#{name}") for name in ("ada", "grace")
            }
            for page in pages.values():
                page.wait_for(CONNECTED)
                for room, members in ROOMS.items():
                    shows(page, room, ", ".join(members))
            for name, room, text in SAID:
                enter(pages[name], f"section:nth-child({sorted(ROOMS).index(room) + 1}) form", text)
                for page in pages.values():
                    shows(page, room, text)
            picture.write_bytes(pages["ada"].picture(x=0, y=0, width=720, height=340))


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else PICTURE).absolute())
