"""What a host program does to SQLAlchemy and Alembic is its own affair."""

from __future__ import annotations

import copy
import shutil
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp, CreateTableOp, ExecuteSQLOp
from sqlalchemy import Engine, Pool, Table, create_engine, event
from sqlalchemy.engine import Connection, Dialect

import beryl_groups
from beryl_groups import revisions
from tests.frozen.make import FOLDER, GROUPS
from tests.sqlite.opening import revision_of, run_sql, schema_of
from tests.sqlite.store import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from beryl_groups import Groups

LISTENED_TO = [
    *[(Engine, name) for name in ("connect", "first_connect", "checkout", "checkin", "close")],
    *[(Pool, name) for name in ("connect", "first_connect", "checkout", "checkin", "reset")],
    *[(Engine, name) for name in ("do_connect", "do_execute", "do_executemany", "handle_error")],
    *[(Dialect, name) for name in ("do_connect", "do_execute", "handle_error")],
    *[(Engine, name) for name in ("engine_connect", "begin", "commit", "rollback")],
    *[(Engine, name) for name in ("before_execute", "before_cursor_execute", "after_execute")],
    *[(Connection, name) for name in ("begin", "commit", "before_cursor_execute")],
]


@contextmanager
def listening(heard: list[str]) -> Iterator[None]:
    """Listen to all that can be listened to of every engine, as a host program may."""
    listeners: list[tuple[Any, str, Callable[..., None]]] = []
    for target, name in LISTENED_TO:

        def listener(*_: object, name: str = name, **__: object) -> None:
            heard.append(name)

        event.listen(target, name, listener, named=True)
        listeners.append((target, name, listener))
    try:
        yield
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)


def settings(groups: Groups) -> dict[str, Any]:
    """Read back what a durable call rests on, of the connection that writes and one that reads."""
    groups.create("written")
    writer = store(groups)._writer._connection.current
    assert writer is not None
    names = ("synchronous", "journal_mode", "foreign_keys", "fullfsync", "checkpoint_fullfsync")
    found = {name: writer.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
    assert groups._engine.read(lambda reader: reader.execute("PRAGMA foreign_keys").fetchone()[0])
    return found


def recipe(connection: Any, _record: object) -> None:
    """Set a connection up as many programs set up their own."""
    cursor = connection.cursor()
    for pragma in ("synchronous = OFF", "journal_mode = MEMORY", "foreign_keys = OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@pytest.mark.parametrize("frozen", [None, *revisions.REVISIONS])
def test_no_listener_of_the_host_is_called(path: Path, frozen: str | None) -> None:
    """What listens to every engine hears nothing of ours, nor of a migration."""
    if frozen is not None:
        shutil.copyfile(FOLDER / f"{frozen}.db", path)
    heard: list[str] = []
    with listening(heard):
        with beryl_groups.start(path) as groups:
            groups.create("new")
            groups.add("new", "a", "b")
            with groups.transaction() as transaction:
                transaction.delete("new")
            assert groups.check() == []
        assert heard == []
        engine = create_engine("sqlite://")
        with engine.connect() as own:
            own.exec_driver_sql("SELECT 1")
        engine.dispose()
        assert set(heard) > {"connect", "engine_connect", "before_cursor_execute"}


def test_what_a_host_does_as_tables_are_made_happens_to_none_of_ours(path: Path) -> None:
    """Neither what listens to the making of every table nor another operation of Alembic acts."""
    made: list[str] = []

    def note(table: Table, connection: Connection, **_: object) -> None:
        made.append(table.name)
        connection.exec_driver_sql("CREATE TABLE of_the_host (x)")

    registered = Operations._to_impl
    for name in ("before_create", "after_create"):
        event.listen(Table, name, note)
    try:
        with pytest.MonkeyPatch.context() as patch:
            own = copy.copy(registered)
            own._registry = dict(registered._registry)
            patch.setattr(Operations, "_to_impl", own)
            for kind in (CreateTableOp, CreateIndexOp, ExecuteSQLOp):

                @Operations.implementation_for(kind, replace=True)
                def refuse(operations: Operations, operation: object) -> None:
                    made.append(type(operation).__name__)

            beryl_groups.start(path).close()
    finally:
        for name in ("before_create", "after_create"):
            event.remove(Table, name, note)
    assert made == []
    assert schema_of(path) == schema_of(FOLDER / f"{revisions.HEAD}.db")


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER own AFTER UPDATE ON alembic_version BEGIN SELECT 1; END",
        "CREATE UNIQUE INDEX own ON alembic_version (lower(version_num))",
    ],
)
def test_what_a_host_puts_on_its_version_table_is_its_own(
    tmp_path: Path, path: Path, change: str
) -> None:
    """Once ours has another name, a trigger or an index on the host's is nothing to us."""
    shutil.copyfile(FOLDER / f"{revisions.HEAD}.db", path)
    Host(tmp_path / "host", path, "a1").upgrade()
    run_sql(path, change)
    is_whole(path)


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
@pytest.mark.parametrize("target", [Engine, Pool])
def test_settings_of_the_host_do_not_reach_ours(
    path: Path, target: type, synchronous: Any, level: int
) -> None:
    """A recipe of PRAGMAs for every engine leaves ours as they were asked for."""
    event.listen(target, "connect", recipe)
    try:
        with beryl_groups.start(path, synchronous=synchronous) as groups:
            assert settings(groups) == {
                "synchronous": level,
                "journal_mode": "wal",
                "foreign_keys": 1,
                "fullfsync": int(synchronous == "full"),
                "checkpoint_fullfsync": 1,
            }
    finally:
        event.remove(target, "connect", recipe)


class Host:
    """A program that keeps tables of its own in a file of groups, with its own Alembic."""

    def __init__(self, folder: Path, database: Path, *ids: str) -> None:
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(
            textwrap.dedent("""
                from alembic import context
                from sqlalchemy import create_engine

                engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
                with engine.connect() as connection:
                    context.configure(connection=connection)
                    with context.begin_transaction():
                        context.run_migrations()
                engine.dispose()
            """)
        )
        for before, revision in zip((None, *ids), ids, strict=False):
            (folder / "versions" / f"{revision}.py").write_text(
                textwrap.dedent(f"""
                    from alembic import op
                    import beryl_groups

                    revision, down_revision = {revision!r}, {before!r}

                    def upgrade():
                        op.execute("CREATE TABLE host_{revision} (x)")
                """)
            )
        self.config = Config()
        self.config.set_main_option("script_location", str(folder))
        self.config.set_main_option("sqlalchemy.url", f"sqlite:///{database}")
        self.database = database

    def upgrade(self, revision: str = "head") -> None:
        command.upgrade(self.config, revision)

    def tables(self) -> list[str]:
        rows = run_sql(
            self.database, "SELECT name FROM sqlite_schema WHERE name LIKE 'host_%' ORDER BY name"
        )
        return [name for (name,) in rows]

    def revision(self) -> list[str]:
        return [row[0] for row in run_sql(self.database, "SELECT version_num FROM alembic_version")]


def is_whole(path: Path) -> None:
    with beryl_groups.start(path) as groups:
        assert {name: groups.topics(name) for name in groups} == GROUPS
        assert groups.check() == []
    assert revision_of(path) == [(revisions.HEAD,)]


@pytest.mark.parametrize("ids", [("0001", "0002"), ("a1", "b2")])
def test_a_host_migrates_its_tables_beside_ours(
    tmp_path: Path, path: Path, ids: tuple[str, str]
) -> None:
    """Its Alembic finds its own version table, whatever its revisions are called, and we ours."""
    shutil.copyfile(FOLDER / f"{revisions.HEAD}.db", path)
    host = Host(tmp_path / "host", path, *ids)
    host.upgrade(ids[0])
    is_whole(path)
    host.upgrade()
    is_whole(path)
    assert (host.tables(), host.revision()) == ([f"host_{each}" for each in ids], [ids[1]])


@pytest.mark.parametrize("ids", [("0001", "0002"), ("a1", "b2")])
def test_a_file_of_0001_leaves_the_name_to_the_host(
    tmp_path: Path, path: Path, ids: tuple[str, str]
) -> None:
    """After our migration the host's Alembic begins at its beginning, and skips nothing."""
    shutil.copyfile(FOLDER / "0001.db", path)
    is_whole(path)
    host = Host(tmp_path / "host", path, *ids)
    host.upgrade()
    is_whole(path)
    assert (host.tables(), host.revision()) == ([f"host_{each}" for each in ids], [ids[1]])


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("UPDATE alembic_version SET version_num = '0002'", ["0002"]),
        ("UPDATE alembic_version SET version_num = 'a1'", ["a1"]),
        ("INSERT INTO alembic_version VALUES ('a1'), ('b2')", ["a1", "b2"]),
    ],
)
def test_what_a_host_wrote_into_the_table_while_it_was_ours_stays(
    path: Path, change: str, left: list[str]
) -> None:
    """Revisions of a host that got into our table of old are left in it, and ours leaves it."""
    shutil.copyfile(FOLDER / "0001.db", path)
    run_sql(path, change)
    is_whole(path)
    assert [row[0] for row in run_sql(path, "SELECT * FROM alembic_version")] == left
    is_whole(path)


def test_a_host_may_open_groups_in_the_middle_of_its_own_migration(
    tmp_path: Path, path: Path
) -> None:
    """What Alembic keeps for the host's migration is as it was after our own has run."""
    host = Host(tmp_path / "host", tmp_path / "host.db", "a1")
    (tmp_path / "host" / "versions" / "b2.py").write_text(
        textwrap.dedent(f"""
            from alembic import context, op
            import beryl_groups

            revision, down_revision = "b2", "a1"

            def upgrade():
                before = context.get_context()
                beryl_groups.start({str(path)!r}).close()
                assert context.get_context() is before
                op.execute("CREATE TABLE host_b2 (x)")
        """)
    )
    host.upgrade()
    assert host.tables() == ["host_a1", "host_b2"]
    with beryl_groups.start(path) as groups:
        assert list(groups) == []


def test_a_new_file_and_a_migrated_one_have_the_same_schema(tmp_path: Path, path: Path) -> None:
    """The version table is the same, whichever way it came about."""
    shutil.copyfile(FOLDER / "0001.db", path)
    beryl_groups.start(path).close()
    beryl_groups.start(tmp_path / "new.db").close()
    assert schema_of(path) == schema_of(tmp_path / "new.db")
