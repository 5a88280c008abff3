"""The command line: ``beryl-groups``, or ``python -m beryl_groups``."""

from __future__ import annotations

from typing import Any

import click

from beryl_groups import demo as demonstration
from beryl_groups.errors import GroupError


class _Commands(click.Group):
    """Commands whose errors are a sentence on standard error and the exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GroupError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands)
def main() -> None:
    """Durable groups of topics in one SQLite file."""


@main.command()
@click.argument("database", required=False)
@click.option("--read-back", is_flag=True, hidden=True, help="Be the second process.")
def demo(database: str | None, *, read_back: bool) -> None:
    """Fill DATABASE with the time zones of the world, restart, read and broadcast.

    Without DATABASE it makes a new file in the current folder. In a file that is there already
    it adds its groups and topics to what the file holds, and takes nothing away.
    """
    if read_back and database is not None:
        demonstration.read_back(database)
    else:
        demonstration.run(database)
