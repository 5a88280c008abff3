"""Which revision a file has, and bringing it up to date.

Reading the revision needs no Alembic, whose import costs more than everything else that
opening a file does; only a file that is not current pays for it.
"""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, cast

from sqlalchemy import event, make_url
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from beryl_groups import revisions, sqlite
from beryl_groups.errors import StartFailed
from beryl_groups.migrating import migrate, scripts_folder
from beryl_groups.quiet import quiet_engine
from beryl_groups.sqlite import causes, connections, errors, recovery, tampering
from beryl_groups.sqlite.only_name import refuse_other_names
from beryl_groups.sqlite.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection as CoreConnection

    from beryl_groups.sqlite.location import Location

_REVISION = f"SELECT version_num FROM {revisions.VERSION_TABLE} LIMIT 9"  # noqa: S608

# As Alembic makes it, but without what a host program has happen when a table is made.
_VERSION_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {revisions.VERSION_TABLE} (\n"
    "\tversion_num VARCHAR(32) NOT NULL, \n"
    f"\tCONSTRAINT {revisions.VERSION_TABLE}_pkc PRIMARY KEY (version_num)\n)\n\n"
)

_FIRST = revisions.REVISIONS[0]
"""The revision that had its version table under Alembic's own name for it."""


def is_new(connection: connections.Connection, location: Location) -> bool:
    """Tell whether the file is empty; raise `StartFailed` where it is not for us to use.

    Call it, and `revision`, in a transaction: what they read belongs together.
    """
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        reason = f"its text is encoded in {encoding}, which is not in code point order as UTF-8 is"
        raise StartFailed(location.shown, reason)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id == connections.APPLICATION_ID:
        return False
    if application_id == 0:
        # What a downgrade to the base leaves behind is nobody's.
        (objects,) = connection.execute(
            "SELECT count(*) FROM sqlite_schema "
            "WHERE tbl_name NOT IN (?, 'alembic_version', 'sqlite_sequence') "
            "OR sql NOT LIKE 'CREATE TABLE %'",
            (revisions.VERSION_TABLE,),
        ).fetchone()
        if objects == 0:
            return True
        if tampering.are_ours(connection):  # a dump has no application_id
            return False
    raise _foreign(application_id, location)


def refuse_marked_as_foreign(connection: connections.Connection, location: Location) -> None:
    """Raise `StartFailed` where the file says that it is another application's."""
    with suppress(*sqlite.Errors):  # whatever is wrong with the file, opening it will tell
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id not in {0, connections.APPLICATION_ID}:
            raise _foreign(application_id, location)


def _foreign(application_id: int, location: Location) -> StartFailed:
    reason = f"it belongs to another application (application_id {application_id})"
    return StartFailed(location.shown, reason)


def revision(connection: connections.Connection, location: Location) -> str | None:
    """Return the revision of the file, None where it is empty, or raise `StartFailed`."""
    if is_new(connection, location):
        return None
    tables = tampering.made_tables(connection, location)
    try:
        found = [_FIRST]
        if revisions.VERSION_TABLE in tables:
            found = [row[0] for row in connection.execute(_REVISION).fetchall()]
    except sqlite.Errors as error:
        if connections.primary_code(error) == sqlite.driver.SQLITE_CORRUPT:
            raise
        raise StartFailed(location.shown, f"its revision cannot be read: {error}") from error
    shown = ", ".join(str(each)[:32] for each in found) or "none"
    if len(found) != 1 or found[0] not in revisions.REVISIONS:
        reason = (
            f"its schema has the revision {shown}, and this version of beryl_groups knows "
            f"{revisions.HEAD} at the most: upgrade the package"
        )
        raise StartFailed(location.shown, reason)
    tampering.refuse_altered(connection, tables, found[0], location)
    return str(found[0])


def read_revision(connection: connections.Connection, location: Location) -> str | None:
    """Return `revision` as a transaction of its own sees it."""
    connection.execute("BEGIN")
    try:
        return revision(connection, location)
    finally:
        connection.execute("ROLLBACK")


def refuse_before_it_is_touched(location: Location, busy_timeout: float) -> None:
    """Raise where to open the file as ours, and to close it again, could change another's."""
    location.refuse_what_leads_elsewhere()
    refuse_other_names(location)
    if location.has_journal():
        # To recover the file is for its own application; ours is not known from the outset.
        with closing(connections.look_past_journal(location)) as onlooker:
            refuse_marked_as_foreign(onlooker, location)
        recovery.refuse_what_comes_of_it(location, read_revision)
    if location.has_wal():
        # Closing a connection may move what a WAL holds into the file, whose it may not be.
        may_write = location.may_be_written()
        look = connections.look if may_write else connections.open_to_read
        with closing(look(location, busy_timeout)) as onlooker:
            read_revision(onlooker, location)


def upgrade(location: Location, busy_timeout: float) -> None:
    """Bring the file to the newest revision in one transaction, alone."""
    with connect_to_upgrade(location, busy_timeout) as core:
        connection = _driver(core)
        found = revision(connection, location)
        if found is not None and not is_marked(connection):
            connection.execute(f"PRAGMA application_id = {connections.APPLICATION_ID}")
        if found != revisions.HEAD:
            _run(core, location, found)


def is_marked(connection: connections.Connection) -> bool:
    """Tell whether the file bears our application_id, which a dump of it does not."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(application_id == connections.APPLICATION_ID)


@contextmanager
def connect_to_upgrade(location: Location, busy_timeout: float) -> Iterator[CoreConnection]:
    """Give a Core connection in a write transaction; it commits, and the file is in WAL mode."""

    def connect() -> connections.Connection:
        connection = connections.open_connection(location, busy_timeout, "extra")
        # With foreign keys on, a table that a migration rebuilds would take its rows' children
        # along; in a transaction it is too late to say so.
        connection.execute("PRAGMA foreign_keys = OFF")
        return connection

    url = make_url("sqlite://")
    engine = quiet_engine(url, SQLiteDialect_pysqlite, sqlite.driver, NullPool, connect)
    event.listen(engine, "begin", lambda core: core.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as core:
        with core.begin():
            core.dialect.initialize(core)
            is_new(_driver(core), location)
            yield core
        if not connections.use_wal(_driver(core), busy_timeout):
            raise StartFailed(location.shown, "its file system has no shared memory for WAL")


def _driver(core: CoreConnection) -> connections.Connection:
    return cast("connections.Connection", core.connection.driver_connection)


def _run(core: CoreConnection, location: Location, found: str | None) -> None:
    orphans_before = _orphans(core)
    try:
        with scripts_folder(lambda: scratch_folder(location.path)) as folder:
            migrate(core, folder, name_version_table)
        # Those that an edit with foreign keys off has left are no fault of the migration.
        if (orphans := _orphans(core) - orphans_before) > 0:
            raise ValueError(f"{orphans} rows would refer to nothing")
    except Exception as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        said = errors.reason(cause, location) if isinstance(cause, sqlite.Errors) else str(cause)
        reason = (
            f"the migration from {found or 'an empty file'} to {revisions.HEAD} failed: "
            f"{causes.of_no_file() or said}"
        )
        raise StartFailed(location.shown, reason) from error


def name_version_table(
    core: CoreConnection, context: MigrationContext, scripts: ScriptDirectory
) -> None:
    """Have Alembic find a version table, and in it the revision that stood under another name."""
    is_old = tampering.has_version_table_of_old(_driver(core))
    core.exec_driver_sql(_VERSION_TABLE)
    if is_old:
        context.stamp(scripts, _FIRST)
        tampering.leave_version_table_of_old(_driver(core), _FIRST)


def _orphans(core: CoreConnection) -> int:
    return len(core.exec_driver_sql("PRAGMA foreign_key_check").fetchall())
