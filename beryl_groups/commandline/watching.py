"""The command that shows what changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from beryl_groups.commandline import parameters
from beryl_groups.commandline.database import writing
from beryl_groups.commandline.output import Output, flush
from beryl_groups.lines import in_one_line
from beryl_groups.logs import logger

if TYPE_CHECKING:
    from beryl_groups.changes import Change


class _Sentences(logging.Handler):
    """Says what is logged on standard error, in a line."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(in_one_line(record.getMessage()), err=True)


@click.command(
    epilog=parameters.example(
        "beryl-groups watch groups.db --json --once",
        '{"kind": "added", "group": "team:design", "topics": ["room:colours"], "old_name": null}',
    )
)
@parameters.database
@parameters.prefix
@click.option("--once", is_flag=True, help="End after the first change.")
@parameters.as_json
def watch(database: str, prefix: str, *, once: bool, as_json: bool) -> None:
    """Show what changes, whoever changes it, until Ctrl-C.

    A line for each change, at once: "created", "deleted", "renamed", "added" or "removed", the
    group, and the topics, with tabs between them; where a group was renamed, its old name in the
    place of topics. A created group is shown with all that it holds, a deleted one with what it
    held. In JSON it is {"kind": KIND, "group": NAME, "topics": [NAME...], "old_name": NAME}.
    """
    output = Output()
    logger().addHandler(said := _Sentences())
    try:
        with writing(database) as groups, groups.watch(prefix=prefix) as changes:
            for change in changes:
                output.write(f"{_line(change, output, as_json=as_json)}\n")
                flush()
                if once:
                    return
    finally:
        logger().removeHandler(said)


def _line(change: Change, output: Output, *, as_json: bool) -> str:
    if as_json:
        return output.json(vars(change) | {"topics": sorted(change.topics)})
    old_name = [] if change.old_name is None else [change.old_name]
    names = [change.group, *sorted(change.topics), *old_name]
    return "\t".join([change.kind, *map(output.name, names)])
