"""Running the migrations that are due, on the connection of an engine that holds off all others."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beryl_groups import revisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from importlib.resources.abc import Traversable

    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection as CoreConnection

SCRIPTS = "beryl_groups.migrations"


def migrate(
    core: CoreConnection,
    folder: Path,
    prepare: Callable[[CoreConnection, MigrationContext, ScriptDirectory], None],
    schema: str | None = None,
) -> None:
    """Run the migrations that are due, after `prepare` has made the version table.

    With Alembic's parts and not its commands, which keep the environment in globals of its modules:
    another thread, or a host program that is in the middle of a migration of its own, may be using
    these.
    """
    from alembic.operations import Operations  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    from beryl_groups.quiet_migrations import QuietContext  # noqa: PLC0415

    # Where there is no source a packer has left what it compiled.
    scripts = ScriptDirectory(str(folder), sourceless=not (folder / "env.py").exists())

    def steps(revision: Any, _: MigrationContext) -> Any:
        return scripts._upgrade_revs(revisions.HEAD, revision)  # noqa: SLF001 - as its command does

    options = {
        "version_table": revisions.VERSION_TABLE,
        "version_table_schema": schema,
        "fn": steps,
    }
    context = QuietContext(core.dialect, core, options)
    prepare(core, context, scripts)
    context.run_migrations(op=Operations(context))


@contextmanager
def scripts_folder(scratch: Callable[[], AbstractContextManager[Path]]) -> Iterator[Path]:
    """Give the folder of the migrations; for a package in a zip file, a copy in a new folder."""
    found = resources.files(SCRIPTS)
    if isinstance(found, Path):
        yield found
        return
    with scratch() as made:
        folder = made / "migrations"
        _copy(found, folder)  # resources.as_file does so since Python 3.12
        yield folder


def _copy(source: Traversable, target: Path) -> None:
    target.mkdir()
    for each in source.iterdir():
        if each.is_dir():
            _copy(each, target / each.name)
        else:
            (target / each.name).write_bytes(each.read_bytes())
