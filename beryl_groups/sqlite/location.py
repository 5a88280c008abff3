"""What ``start`` was asked to open: a file, or ``":memory:"``.

That is a file as well, in a private folder: SQLite's own ``:memory:`` cannot serve readers while a
transaction is open beside them.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from beryl_groups.errors import StartFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = ":memory:"

_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - mkdtemp makes a folder of its own, mode 0700, in it

# What a folder that may not be read says, and a file system that knows no such thing.
_NO_SYNC_OF_FOLDERS = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


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
        """Raise `StartFailed` where a file beside the database would have another one changed."""
        base = os.path.realpath(self.path)
        for ending in ("-wal", "-shm", "-journal"):
            if os.path.islink(base + ending):  # noqa: PTH114 - start has no time for three Paths
                name = os.path.basename(base) + ending  # noqa: PTH119
                raise StartFailed(
                    self.shown, f"{name!r} beside it is a link, and no file of its own"
                )
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
        for sidecar in (self.wal, self.shared_memory):
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
        except FileNotFoundError as error:
            folder = str(Path(self.path).parent)
            raise StartFailed(self.shown, f"there is no folder {folder!r}") from error
        except (OSError, ValueError) as error:
            if os.path.exists(self.path):  # noqa: PTH110 - Path.exists() raises where this does not
                return
            raise StartFailed(self.shown, f"it cannot be created: {_reason(error)}") from error

    def _refuse_what_is_no_file(self) -> None:
        path = Path(self.path)
        try:
            size = path.stat().st_size
        except OSError as error:
            reason = f"it is a link that leads nowhere ({_reason(error)})"
            raise StartFailed(self.shown, reason) from error
        if path.is_dir():
            raise StartFailed(self.shown, "it is a folder")
        if size == 1 and self.may_be_read() and path.read_bytes() != b"S":
            # SQLite takes a file of one byte for an empty one: on some systems it writes an "S"
            # to a new file itself (see unixFileSize in its source). Any other byte is a user's.
            raise StartFailed(self.shown, "it is no SQLite database")

    def identity(self) -> tuple[int, int] | None:
        """Return what tells this file from every other, whatever its path; None without a file."""
        try:
            status = Path(self.path).stat()
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


def absolute(path: str) -> str:
    """Bind a path to today's folder, so that a later chdir moves nothing.

    Not normalised: what ".." means behind a symbolic link is for the system to say, and that a
    name with a slash at its end is a folder.
    """
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH117, PTH118


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Have the names in a folder on disk, where the system lets a folder be synced.

    Windows can open no folder, and keeps its names by itself.
    """
    if os.name != "posix":
        return
    try:
        with opened(folder, os.O_RDONLY) as descriptor:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC_OF_FOLDERS:
            raise


def create_for_owner(path: str | os.PathLike[str]) -> None:
    """Make an empty file for its owner alone, where there is nothing of that name."""
    with opened(path, os.O_CREAT | os.O_EXCL | os.O_RDWR) as descriptor:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)  # whatever the umask took away


@contextmanager
def opened(path: str | os.PathLike[str], flags: int) -> Iterator[int]:
    """Open a file for the length of the block; Ctrl-C leaves no descriptor, whenever it comes."""
    # A loop, for no signal is looked at between its step and its body, as is after a call.
    for descriptor in map(os.open, (path,), (flags,), (0o600,)):
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def locate(database: str | os.PathLike[str] | URL) -> Location:
    """Find what a user means by a database, or raise `StartFailed`."""
    if isinstance(database, URL):
        return _locate_url(database)
    path = os.fspath(database)
    if not isinstance(path, str):
        raise TypeError(f"A database is a str, an os.PathLike or a URL, not {path!r}.")
    path = str.__str__(path)  # a subclass may show itself as it likes
    if "://" in path and isinstance(database, str):
        try:
            return _locate_url(make_url(path))
        except (ArgumentError, ValueError) as error:
            raise StartFailed(path, "it is no URL that SQLAlchemy understands") from error
    return _locate_path(path, shown=path)


def _locate_url(url: URL) -> Location:
    shown = url.render_as_string(hide_password=True)
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise StartFailed(shown, f"{url.drivername!r} is not supported, only 'sqlite' is")
    if url.query or url.host or url.username or url.password:
        reason = "a user, a host or options in a URL are not supported, only a path is"
        raise StartFailed(shown, reason)
    return _locate_path(url.database or MEMORY, shown)


def _locate_path(path: str, shown: str) -> Location:
    if path == MEMORY:
        return _memory()
    if not path:
        raise StartFailed(shown, "it has no name")
    if "\0" in path:
        raise StartFailed(shown, "a path cannot hold a NUL character")
    try:
        return Location(shown, absolute(path))
    except OSError as error:
        raise StartFailed(shown, f"there is no current folder: {_reason(error)}") from error


def _memory() -> Location:
    """Give a private file that is never synced and goes with its handle.

    SQLite's own ``:memory:`` is one connection, or lets no reader look while a transaction
    is open. A file in memory (or in the folder for temporary files, where the system has no
    such thing) behaves as every other database does.
    """
    import tempfile  # noqa: PLC0415 - few programs need it

    try:
        shared = os.access(_SHARED_MEMORY, os.W_OK | os.X_OK)
        folder = tempfile.mkdtemp(prefix="beryl_groups-", dir=_SHARED_MEMORY if shared else None)
        Path(folder).chmod(0o700)  # whatever the umask took away
    except OSError as error:
        raise StartFailed(MEMORY, _reason(error)) from error
    return Location(MEMORY, str(Path(folder) / "groups.db"), folder_to_remove=folder)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
