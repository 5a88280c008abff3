"""The commands that change groups; each lands whole or not at all."""

from __future__ import annotations

import click

from beryl_groups.commandline import parameters
from beryl_groups.commandline.database import writing
from beryl_groups.commandline.input import with_standard_input


@click.command(epilog=parameters.example("beryl-groups create groups.db team:web team:ops"))
@parameters.database
@parameters.new_groups
@click.option("--if-missing", is_flag=True, help="Leave a group that is there as it is.")
def create(database: str, names: tuple[str, ...], *, if_missing: bool) -> None:
    """Create groups without topics.

    The database is made where there is none. All groups are created, or none where one exists
    already; with --if-missing that is no error. "-" stands for the names on standard input, one a
    line.
    """
    wanted = with_standard_input(names)
    with writing(database, make=True) as groups, groups.transaction() as transaction:
        for name in wanted:
            transaction.create(name, exist_ok=if_missing)


@click.command(epilog=parameters.example("beryl-groups delete groups.db team:ops"))
@parameters.database
@parameters.groups
@click.option("--if-exists", is_flag=True, help="Pass over a group that is not there.")
def delete(database: str, names: tuple[str, ...], *, if_exists: bool) -> None:
    """Delete groups.

    All of them, or none where one is not there; with --if-exists that is no error. "-" stands for
    the names on standard input, one a line.
    """
    wanted = with_standard_input(names)
    with writing(database) as groups, groups.transaction() as transaction:
        for name in wanted:
            transaction.delete(name, missing_ok=if_exists)


@click.command(epilog=parameters.example("beryl-groups rename groups.db team:web team:site"))
@parameters.database
@parameters.old_group
@click.argument("new", type=parameters.TEXT, metavar="NEW")
def rename(database: str, group: str, new: str) -> None:
    """Give the group OLD the name NEW; it keeps its topics."""
    with writing(database) as groups:
        groups.rename(group, new)


@click.command(
    epilog=parameters.example("beryl-groups add groups.db team:design room:fonts room:print")
)
@parameters.database
@parameters.group
@parameters.topics
@click.option("--create", is_flag=True, help="Create the group where it is not there.")
def add(database: str, group: str, topics: tuple[str, ...], *, create: bool) -> None:
    """Add topics to a group.

    One that is there already is no error. With --create the group, and the database, is made where
    there is none. "-" stands for the topics on standard input, one a line.
    """
    wanted = with_standard_input(topics)
    with writing(database, make=create) as groups:
        groups.add(group, *wanted, create=create)


@click.command(epilog=parameters.example("beryl-groups remove groups.db team:design room:fonts"))
@parameters.database
@parameters.group
@parameters.topics_of_the_group
def remove(database: str, group: str, topics: tuple[str, ...]) -> None:
    """Remove topics from a group.

    One that is not there is no error. "-" stands for the topics on standard input, one a line.
    """
    wanted = with_standard_input(topics)
    with writing(database) as groups:
        groups.remove(group, *wanted)


@click.command("set", epilog=parameters.example("beryl-groups set groups.db team:design room:ux"))
@parameters.database
@parameters.group
@parameters.topics
def set_topics(database: str, group: str, topics: tuple[str, ...]) -> None:
    """Have a group hold exactly these topics.

    "-" stands for the topics on standard input, one a line; where it is empty, so is the group
    afterwards.
    """
    wanted = with_standard_input(topics)
    with writing(database) as groups:
        groups.set_topics(group, wanted)
