"""What ``start`` was asked to open: a file, or ``":memory:"``.

That is a file as well, in a private folder: SQLite's own ``:memory:`` cannot serve readers while a
transaction is open beside them.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from beryl_groups.errors import StartFailed
from beryl_groups.sqlite.files import (
    create_for_owner,
    in_lower_case,
    no_file,
    not_made,
    sync_folder,
)

_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


@dataclass(frozen=True)
class Location:
    """A database file, and what to call it in a sentence."""

    shown: str
    path: str
    folder_to_remove: str | None = None

    @property
    def in_memory(self) -> bool:
        return self.folder_to_remove is not None

    def has_wal(self) -> bool:
        return os.access(self.wal, os.F_OK)

    @property
    def wal(self) -> Path:
        return self._sidecar("-wal")

    @property
    def shared_memory(self) -> Path:
        return self._sidecar("-shm")

    def sidecars(self) -> tuple[Path, Path]:
        """Return the files beside a database in WAL mode."""
        return self.wal, self.shared_memory

    def has_wal_of_old(self) -> bool:
        """Tell whether there is a WAL that nobody has open: a copy, or one that a crash left."""
        return self.has_wal() and not os.access(self.shared_memory, os.F_OK)

    def has_commits_in_wal(self) -> bool:
        try:
            return self.wal.stat().st_size > 0
        except OSError:
            return False

    def is_at_rest(self) -> bool:
        """Tell whether nobody has the file open to write it, and all commits are in it."""
        in_use = os.access(self.shared_memory, os.F_OK) or self.has_journal()
        return not (in_use or self.has_commits_in_wal())

    def state(self) -> tuple[object, ...]:
        """Return what changes when somebody opens the file to write it, or has written it."""
        with suppress(OSError):
            status = Path(self.path).stat()
            return status.st_ino, status.st_size, status.st_mtime_ns, self.is_at_rest()
        return ()

    def sizes(self) -> tuple[int, int]:
        """Return how many bytes the file and its WAL have."""
        wal = self.wal.stat().st_size if self.has_wal() else 0
        return Path(self.path).stat().st_size, wal

    def has_journal(self) -> bool:
        return os.access(self.journal, os.F_OK)

    @property
    def journal(self) -> Path:
        return self._sidecar("-journal")

    def state_of_journal(self) -> tuple[int, ...] | None:
        """Return what changes when somebody begins or ends a transaction; None without one."""
        try:
            journal, file = self.journal.stat(), Path(self.path).stat()
        except OSError:
            return None
        return (journal.st_ino, journal.st_size, journal.st_mtime_ns, file.st_mtime_ns)

    def refuse_what_leads_elsewhere(self) -> None:
        """Raise `StartFailed` where a file beside the database would have another one changed.

        What is no file at all is refused as well: to open a pipe could take for ever.
        """
        base = os.path.realpath(self.path)
        for ending in ("-wal", "-shm", "-journal"):
            try:
                mode = os.lstat(base + ending).st_mode
            except OSError:
                continue
            if not stat.S_ISREG(mode):
                name = os.path.basename(base) + ending  # noqa: PTH119 - start has no time for Paths
                kind = "a link, and no file of its own" if stat.S_ISLNK(mode) else "no file"
                raise StartFailed(self.shown, f"{name!r} beside it is {kind}")
        if self.has_journal() and self._journal_names_another():
            raise StartFailed(
                self.shown,
                "the journal beside it names another file, which SQLite would delete; whoever "
                "knows where it comes from can have the sqlite3 shell open it once",
            )

    def _journal_names_another(self) -> bool:
        """Tell whether a journal ends as one of a transaction over several databases does.

        See "The Super-Journal File" in https://www.sqlite.org/fileformat.html.
        """
        with suppress(OSError), self.journal.open("rb") as journal:
            journal.seek(-len(_JOURNAL_MAGIC), os.SEEK_END)
            return journal.read() == _JOURNAL_MAGIC
        return False

    def _sidecar(self, ending: str) -> Path:
        """Return a file that SQLite keeps beside the database, or beside what a link leads to."""
        return Path(os.path.realpath(self.path) + ending)

    def sync_folder(self) -> None:
        """Have the names of the file and its sidecars on disk."""
        if not self.in_memory:
            sync_folder(self._sidecar("").parent)

    def free_sidecars(self) -> None:
        """Give the sidecar files the file's mode, where that has changed since they were made.

        They may be from when it was read-only, or from when others might read it.
        """
        for sidecar in self.sidecars():
            with suppress(OSError):  # not the owner, or there is none
                found = sidecar.lstat().st_mode
                wanted = Path(self.path).stat().st_mode
                # What a link leads to may be anything.
                if stat.S_ISREG(found) and stat.S_IMODE(found) != stat.S_IMODE(wanted):
                    sidecar.chmod(stat.S_IMODE(wanted))

    def uri(self, **parameters: str) -> str:
        """Return the file as SQLite takes it in a URI, which alone can say "do not create"."""
        path = self.path.replace("\\", "/") if sys.platform == "win32" else self.path
        root = "" if path.startswith("/") else "/"
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        return f"file://{root}{quote(os.fsencode(path), safe='/:')}?{query}"

    def create(self) -> None:
        """Make the file where there is none, for its owner alone; sidecars get the same mode."""
        try:
            create_for_owner(self.path)
        except FileExistsError:
            self._refuse_what_is_no_file()
            return
        except (OSError, ValueError) as error:
            if os.path.exists(self.path):  # noqa: PTH110 - Path.exists() would raise
                self._refuse_what_is_no_file()
                return
            cannot = "" if isinstance(error, FileNotFoundError) else "it cannot be created: "
            raise StartFailed(self.shown, cannot + not_made(error, self.path)) from error

    def _refuse_what_is_no_file(self) -> None:
        path = Path(self.path)
        try:
            status = path.stat()
        except OSError as error:
            reason = f"it is a link that leads nowhere ({in_lower_case(error)})"
            raise StartFailed(self.shown, reason) from error
        if (reason_of_kind := no_file(status)) is not None:
            raise StartFailed(self.shown, reason_of_kind)
        if status.st_size == 1 and self.may_be_read() and path.read_bytes() != b"S":
            # SQLite takes a file of one byte for an empty one: on some systems it writes an "S"
            # to a new file itself (see unixFileSize in its source). Any other byte is a user's.
            raise StartFailed(self.shown, "it is no SQLite database")

    def identity(self) -> tuple[int, int] | None:
        """Return what tells this file from every other, whatever its path; None without a file."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 - a Path takes longer than the system
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def may_be_read(self) -> bool:
        return os.access(self.path, os.R_OK)

    def may_be_written(self) -> bool:
        return os.access(self.path, os.W_OK)

    def remove(self) -> None:
        """Remove what ``":memory:"`` left; a file that was asked for stays."""
        if self.folder_to_remove is not None:
            shutil.rmtree(self.folder_to_remove, ignore_errors=True)
