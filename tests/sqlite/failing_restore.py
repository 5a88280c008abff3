"""A program that restores while its storage fails: what is said, and what there is then."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import beryl_groups
from beryl_groups import StorageFailed
from tests.contract.copies import made, names_in
from tests.torture.storage import ENTRY, SYNC, Storage


def unsynced(folder: Path) -> None:
    """Sync nothing, where calls need not wait for that."""
    storage = Storage()
    backup = made(folder / "copy.db", {"restored": set()})
    with beryl_groups.start(folder / "groups.db", synchronous="normal") as groups:
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


def unremoved(folder: Path) -> None:
    """Remove nothing, and no draft either."""
    storage = Storage()
    backup = made(folder / "copy.db", {"restored": set()})
    with beryl_groups.start(folder / "groups.db") as groups:
        storage.fail(ENTRY, 0, errno.EIO, on=True)
        groups.restore(backup)
        print(list(groups), sum(name.startswith(".") for name in names_in(folder)))
        storage.mend()
        groups.restore(backup)
        print(list(groups), sum(name.startswith(".") for name in names_in(folder)))


if __name__ == "__main__":
    {"unsynced": unsynced, "unremoved": unremoved}[sys.argv[1]](Path(sys.argv[2]))
