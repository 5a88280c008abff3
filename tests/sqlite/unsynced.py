"""A program whose storage does not sync: what a handle that need not wait for that says."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import beryl_groups
from beryl_groups import StorageFailed
from tests.contract.copies import made
from tests.torture.storage import SYNC, Storage


def main(folder: str) -> None:
    storage = Storage()
    backup = made(Path(folder) / "copy.db", {"restored": set()})
    with beryl_groups.start(Path(folder) / "groups.db", synchronous="normal") as groups:
        groups.create("before")
        storage.fail(SYNC, 0, errno.EIO, on=True)
        groups.create("unsynced")
        try:
            groups.restore(backup)
        except StorageFailed as failure:
            print(failure)
        print(list(groups))
        storage.mend()
        groups.restore(backup)
        storage.fail(SYNC, 0, errno.EIO, on=True)
        groups.create("unsynced")
        print(list(groups))
        storage.mend()


if __name__ == "__main__":
    main(*sys.argv[1:])
