"""Make the frozen file of the newest revision: ``python -m tests.frozen.make``.

Run it once when a revision is released, and commit the file. It is never made anew: it stands
for the files that users have.
"""

from __future__ import annotations

from pathlib import Path

import beryl_groups
from beryl_groups import revisions

FOLDER = Path(__file__).parent

GROUPS: dict[str, set[str]] = {
    "empty": set(),
    "team:engineering": {"room:frontend", "room:backend"},
    "large": {f"topic:{number}" for number in range(1000)},
    "Ünïcode \U0001f600": {"\u00e9", "e\u0301", "\U0010ffff", "\ue000", "\ud7ff", "\x7f", " "},
    "'; DROP TABLE groups; --": {"room:backend", 'quotes"', "%_*?[", "new\nline"},
    "x" * 1024: {"é" * 512},
    "renamed": {"room:backend"},
}


def make(path: Path) -> None:
    """Make a file in which every kind of call has left its traces."""
    if path.exists():
        raise SystemExit(f"{path} is there, and a frozen file is never made anew.")
    with beryl_groups.start(path) as groups:
        for name, topics in GROUPS.items():
            created = "before" if name == "renamed" else name
            groups.create(created)
            groups.set_topics(created, [*topics, "removed"])
            groups.remove(created, "removed")
        groups.rename("before", "renamed")
        # Deleted last: the next id is not the one after those that are there.
        groups.create("deleted")
        groups.add("deleted", "room:backend")
        groups.delete("deleted")
    path.chmod(0o644)


if __name__ == "__main__":
    make(FOLDER / f"{revisions.HEAD}.db")
