"""What a user means by a database: a path, ``":memory:"`` or a URL."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from beryl_groups.errors import StartFailed
from beryl_groups.sqlite.files import absolute, in_lower_case
from beryl_groups.sqlite.location import Location

MEMORY = ":memory:"

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - mkdtemp makes a folder of its own, mode 0700, in it


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
        raise StartFailed(shown, f"there is no current folder: {in_lower_case(error)}") from error


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
        raise StartFailed(MEMORY, in_lower_case(error)) from error
    return Location(MEMORY, str(Path(folder) / "groups.db"), folder_to_remove=folder)
