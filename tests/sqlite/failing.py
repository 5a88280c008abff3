"""A program whose storage fails, with a handle open: what a call says, and the next one does."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import beryl_groups
from beryl_groups import StorageFailed
from tests.torture.storage import CLASSES, SYNC, WRITE, Storage

OPERATIONS = {"write": WRITE, "sync": SYNC, "all": sum(CLASSES)}


def main(folder: str, operation: str, error: str) -> None:
    storage = Storage()
    with beryl_groups.start(Path(folder) / "groups.db") as groups:
        groups.create("team")
        storage.fail(OPERATIONS[operation], 0, getattr(errno, error), on=error != "EINTR")
        try:
            groups.add("team", "lost")
        except StorageFailed as failure:
            print(failure)
        storage.mend()
        groups.add("team", "kept")
        print(sorted(groups.topics("team")), groups.check())


if __name__ == "__main__":
    main(*sys.argv[1:])
