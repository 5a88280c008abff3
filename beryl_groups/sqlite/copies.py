"""Copies of a database, and the search for damage in it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from beryl_groups import sqlite
from beryl_groups.errors import InvalidName, StartFailed, StorageFailed
from beryl_groups.lines import in_one_line
from beryl_groups.names import check_name
from beryl_groups.sqlite import connections
from beryl_groups.sqlite import errors as sqlite_errors
from beryl_groups.sqlite.drafts import NoDraft, draft_beside
from beryl_groups.sqlite.files import (
    absolute,
    create_for_owner,
    in_lower_case,
    named,
    opened,
    shown_path,
    sync_folder,
)
from beryl_groups.sqlite.location import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups.sqlite.connections import Connection
    from beryl_groups.sqlite.store import Store

_PAGES_OF_A_STEP = 1000

_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"

_ORPHANS = """
    SELECT group_id, count(*), CAST(min(topic) AS BLOB) FROM group_topics
    WHERE group_id NOT IN (SELECT id FROM groups) GROUP BY group_id ORDER BY group_id
"""
# As bytes, for text that is no UTF-8 could not be fetched as text.
_NAMES = """
    SELECT 'group', CAST(name AS BLOB) FROM groups
    UNION ALL SELECT 'topic', CAST(topic AS BLOB) FROM group_topics
"""


class NotCopied(Exception):  # noqa: N818 - what it says is a part of a sentence
    """A file could not be copied; the text says why, and the cause is the driver's error."""


def problems(connection: Connection, on_the_way: Callable[[], None] | None = None) -> list[str]:
    """Return a sentence for each thing that is wrong with the database."""
    with connections.watched(connection, on_the_way):
        return _problems(connection, _damage, _orphans, _bad_references, _bad_names)


def reasons_not_to_restore(
    connection: Connection, on_the_way: Callable[[], None] | None = None
) -> list[str]:
    """Return a sentence for each thing in a backup that cannot be left out of what is restored.

    Rows that refer to nothing can: an edit left them there, and they are in no group.
    """
    with connections.watched(connection, on_the_way):
        return _problems(connection, _damage, _bad_names)


def _problems(
    connection: Connection, *searches: Callable[[Connection], Iterator[str]]
) -> list[str]:
    found: list[str] = []
    connection.execute("BEGIN")
    try:
        for search in searches:
            found.extend(search(connection))
    except sqlite.Errors as error:
        if not sqlite_errors.is_damage(error):
            raise
        found.append(f"The file or its schema is damaged: {in_one_line(error)}.")
    finally:
        connection.execute("ROLLBACK")
    return found


def _damage(connection: Connection) -> Iterator[str]:
    for (line,) in connection.execute("PRAGMA integrity_check").fetchall():
        if line != "ok":
            yield f"The file is damaged: {line}."


def _orphans(connection: Connection) -> Iterator[str]:
    for group_id, number, topic in connection.execute(_ORPHANS).fetchall():
        yield (
            f"A group was deleted without its topics: group_topics holds {number} orphaned "
            f"rows of the group_id {group_id}, such as {_shown(topic)}."
        )


def _bad_references(connection: Connection) -> Iterator[str]:
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
        if table != "group_topics":
            yield f"Row {rowid} of {table} refers to a row of {parent} that is not there."


def _bad_names(connection: Connection) -> Iterator[str]:
    for kind, raw in connection.execute(_NAMES):
        if raw is None:
            yield f"The file is damaged: the name of a {kind} cannot be read."
            continue
        try:
            check_name(raw.decode())
        except UnicodeDecodeError as error:
            yield f"The name of a {kind}, {_shown(raw)}, is no UTF-8: {error.reason}."
        except InvalidName as error:
            yield f"The name of a {kind} breaks the rules: {error}"


def _shown(raw: bytes | None) -> str:
    if raw is None:  # where a text ought to be that cannot be missing
        return "one that cannot be read"
    return repr(raw.decode(errors="backslashreplace"))


def backup(
    store: Store,
    path: str | os.PathLike[str],
    progress: Callable[[int, int, int], None] | None = None,
) -> None:
    """Copy the database to a new file."""
    write_backup(path, lambda draft, target: store.read_file(copy_to, draft, target, progress))


def write_backup(path: str | os.PathLike[str], write: Callable[[Path, Path], None]) -> None:
    """Call ``write(draft, target)``; the file has its name only when it is whole and on disk."""
    name = os.fspath(path)
    target = Path(name)
    try:
        name = absolute(named(name))
        target = Path(name)
        if os.path.lexists(target):
            raise FileExistsError
        if name.endswith(os.sep):
            raise NoDraft("a name with a slash at its end is that of a folder")
        with draft_beside(target) as draft:
            try:
                write(draft, target)
            except (DBAPIError, *sqlite.Errors) as error:
                cause = getattr(error, "orig", None) or error
                reason = sqlite_errors.reason(cause, Location(name, str(draft)))
                raise _failed(target, reason) from error
            _sync(draft)
            _publish(draft, target)
    except NoDraft as error:
        raise _failed(target, str(error)) from error
    except StartFailed as error:
        raise _failed(target, error.reason) from error
    except FileExistsError as error:
        raise _failed(target, "there is something of that name already") from error
    except (OSError, ValueError) as error:
        raise _failed(target, in_lower_case(error)) from error


def copy_to(
    connection: Connection,
    draft: Path,
    target: Path,
    progress: Callable[[int, int, int], None] | None = None,
) -> None:
    """Copy to an empty file, or raise that the backup was not made."""
    try:
        copy_pages(connection, draft, progress)
    except NotCopied as error:
        raise _failed(target, str(error)) from error.__cause__


def copy_pages(
    connection: Connection, draft: Path, progress: Callable[[int, int, int], None] | None = None
) -> None:
    """Copy to an empty file; ``progress(status, pages left, pages in all)`` is called on the way.

    With it the copy is made in steps. The transaction around them has them all copy the same
    moment: without it, each write of somebody else would begin the copy anew. Raises `NotCopied`.
    """
    size = 0
    try:
        with closing(sqlite.driver.connect(draft, isolation_level=None)) as copy:
            # The draft has no name yet that anyone would open: one sync at the end is enough.
            copy.execute("PRAGMA synchronous = OFF")
            copy.execute("PRAGMA journal_mode = OFF")
            connection.execute("BEGIN")
            try:
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
                ((size,),) = connection.execute(_SIZE).fetchall()
                pages = _PAGES_OF_A_STEP if progress is not None else -1
                connection.backup(copy, pages=pages, progress=progress)
            finally:
                connection.execute("ROLLBACK")
    except sqlite.Errors as error:
        made = Location(str(draft), str(draft))
        raise NotCopied(sqlite_errors.reason(error, made, growing_to=size)) from error


def _publish(draft: Path, target: Path) -> None:
    """Give the draft its name alone, on disk too, unless somebody has taken it."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        # The file system knows no links: claim the name first, then put the draft in its place.
        create_for_owner(target)
    try:
        if target.samefile(draft):
            draft.unlink()
        else:
            draft.replace(target)
        sync_folder(target.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    with opened(path, os.O_RDWR) as descriptor:
        os.fsync(descriptor)


def _failed(target: Path, reason: str) -> StorageFailed:
    return StorageFailed(f"The backup {shown_path(target)} was not made: {reason}.")
