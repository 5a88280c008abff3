"""The commands that look after a database file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from beryl_groups import revisions
from beryl_groups.commandline import parameters
from beryl_groups.commandline.database import bring_up_to_date, is_empty, reading, writing
from beryl_groups.commandline.input import STANDARD_INPUT
from beryl_groups.commandline.output import Output
from beryl_groups.commandline.progress import signs, steps
from beryl_groups.lines import in_one_line
from beryl_groups.opening import is_missing, refuse_unsound

if TYPE_CHECKING:
    from beryl_groups.engine import Visit


@click.command(epilog=parameters.example("beryl-groups backup groups.db copy.db"))
@parameters.database
@parameters.new_file
def backup(database: str, file: str) -> None:
    """Copy the database to a new file.

    Others may read and write meanwhile. The copy is of one moment, and has its name when it is
    whole and on disk. Nothing is ever overwritten.
    """
    with reading(database, any_revision=True) as groups:
        _back_up(groups.visit, file)


@click.command(
    epilog=parameters.example(
        "beryl-groups backup groups.db last-night.db && "
        "beryl-groups restore groups.db last-night.db"
    )
)
@parameters.database
@parameters.backup_file
def restore(database: str, backup: str) -> None:
    """Replace all groups by those of a backup.

    Others may have the database open, and see it at their next call. It is done whole or, where
    the backup is not sound, not at all. A file that is not there is made. The backup stays as it
    is, and may be one of an older version.
    """
    if is_missing(database) or is_empty(database):
        refuse_unsound(database, backup)
    with writing(database, make=True) as groups:
        groups.restore(backup)


@click.command(epilog=parameters.example("beryl-groups check groups.db"))
@parameters.database
@parameters.as_json
def check(database: str, *, as_json: bool) -> int:
    """Look for damage, and show what is wrong.

    It reads the whole database, and shows one problem a line. The exit code is 1 if anything is
    wrong, and 0 if all is sound. An SQLite that has the known WAL-reset fault (3.7.0 to 3.51.2)
    gets a warning on standard error, which does not count; the extra beryl_groups[sqlite] brings
    one without it.
    """
    with reading(database) as groups, signs("Checking") as groups.visit.on_the_way:
        problems = groups.visit.problems()
        faults = list(groups.visit.known_faults())
    for fault in faults:
        click.echo(f"Warning: {in_one_line(fault)}", err=True)
    output = Output()
    if as_json:
        output.array(problems)
    else:
        for problem in problems:
            output.write(f"{in_one_line(problem)}\n")
    return 1 if problems else 0


@click.command(
    epilog=parameters.example("beryl-groups upgrade groups.db --backup before-the-upgrade.db")
)
@parameters.database
@parameters.backup_first
def upgrade(database: str, backup: str | None) -> None:
    """Bring the schema to the newest revision.

    It says from which revision to which. There is no way back: --backup keeps a copy of the
    file as it was.
    """
    with reading(database, any_revision=True) as groups:
        found, shown = groups.visit.revision, groups.visit.shown
        if backup is not None:
            _back_up(groups.visit, backup)
    bring_up_to_date(database)
    if found == revisions.HEAD:
        click.echo(f"The database {shown!r} has the newest revision already, {revisions.HEAD}.")
    else:
        click.echo(
            f"The database {shown!r} has been upgraded from {found or 'nothing'} to "
            f"{revisions.HEAD}."
        )


def _back_up(visit: Visit, file: str) -> None:
    if file == STANDARD_INPUT:
        raise click.UsageError("A backup is a file; one that is called '-' is './-'.")
    with steps("Copying") as progress:
        visit.backup(file, lambda _status, left, total: progress(total - left, total))
