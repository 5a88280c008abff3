"""The commands that show what is in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from beryl_groups import figures
from beryl_groups.commandline import parameters
from beryl_groups.commandline.database import reading
from beryl_groups.commandline.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beryl_groups.commandline.database import VisitedGroups

_PAGE = 1000
_LARGEST = 10


@click.command(
    "list",
    epilog=parameters.example(
        "beryl-groups list groups.db --prefix team:", "team:design", "team:engineering"
    ),
)
@parameters.database
@parameters.prefix
@click.option("--counts", is_flag=True, help="Say how many topics each group has.")
@parameters.as_json
def list_groups(database: str, prefix: str, *, counts: bool, as_json: bool) -> None:
    """Show the names of the groups.

    In code point order, one a line. With --counts a line is the name, a tab and the number of
    topics; in JSON it is {"group": NAME, "count": NUMBER}.
    """
    with reading(database) as groups:
        output = Output()
        if not counts:
            output.names(
                (name for page in _pages(groups, prefix) for name in page), as_json=as_json
            )
            return
        rows = _counts(groups, prefix)
        if as_json:
            output.array({"group": name, "count": number} for name, number in rows)
        else:
            for name, number in rows:
                output.write(f"{output.name(name)}\t{number}\n")


@click.command(
    epilog=parameters.example(
        "beryl-groups topics groups.db team:design", "room:fonts", "room:icons"
    )
)
@parameters.database
@parameters.group
@parameters.as_json
def topics(database: str, group: str, *, as_json: bool) -> None:
    """Show the topics of a group.

    In code point order, one a line.
    """
    with reading(database) as groups:
        Output().names(sorted(groups.topics(group)), as_json=as_json)


@click.command(
    "groups-of",
    epilog=parameters.example("beryl-groups groups-of groups.db room:fonts", "team:design"),
)
@parameters.database
@parameters.topic
@parameters.as_json
def groups_of(database: str, topic: str, *, as_json: bool) -> None:
    """Show the groups that hold a topic.

    In code point order, one a line.
    """
    with reading(database) as groups:
        Output().names(groups.groups_of(topic), as_json=as_json)


@click.command(epilog=parameters.example("beryl-groups stats groups.db"))
@parameters.database
@parameters.as_json
def stats(database: str, *, as_json: bool) -> None:
    """Show how much there is, and of which version.

    The numbers of groups, topics and memberships, the bytes of the file and of its WAL (on a server
    of the tables and their indexes), the revision of the schema, the version of SQLite or of the
    server, and the groups with the most topics.

    A topic that is in several groups is one topic and several memberships. The WAL holds what was
    written last and has not been moved into the file yet.
    """
    with reading(database) as groups:
        found = groups.read(figures.figures, _LARGEST)
        numbers = {
            "groups": found.groups,
            "topics": found.topics,
            "memberships": found.memberships,
            **groups.visit.sizes(),
            "revision": groups.visit.revision,
            **groups.visit.software(),
        }
    output = Output()
    if as_json:
        largest = [{"group": name, "count": number} for name, number in found.largest]
        output.write(f"{output.json({**numbers, 'largest': largest})}\n")
        return
    for label, value in numbers.items():
        output.write(f"{label.replace('_', ' ')}\t{value}\n")
    for name, number in found.largest:
        output.write(f"largest\t{output.name(name)}\t{number}\n")


def _pages(groups: VisitedGroups, prefix: str) -> Iterator[list[str]]:
    """Give all names, some at a time: neither memory nor a moment of the file is held for long."""
    after = None
    while page := groups.list_groups(prefix, after=after, limit=_PAGE):
        yield page
        after = page[-1]


def _counts(groups: VisitedGroups, prefix: str) -> Iterator[tuple[str, int]]:
    for page in _pages(groups, prefix):
        yield from groups.read(figures.numbers_of_topics, page[0], page[-1])
