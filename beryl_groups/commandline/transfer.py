"""Groups as JSON lines, out of a database and into one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from beryl_groups import figures
from beryl_groups.commandline import parameters
from beryl_groups.commandline.database import reading, writing
from beryl_groups.commandline.input import BadLine, lines, opened, shown, size
from beryl_groups.commandline.output import Output
from beryl_groups.commandline.progress import steps
from beryl_groups.names import check_name, check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SHAPE = 'it is not of the form {"group": "NAME", "topics": ["TOPIC", ...]}'


@click.command(epilog=parameters.example("beryl-groups export groups.db > groups.jsonl"))
@parameters.database
def export(database: str) -> None:
    """Write all groups with their topics as JSON lines.

    One group a line, {"group": "eng", "topics": ["room:a", "room:b"]}, groups and topics in code
    point order, in UTF-8, as of one moment: others may write meanwhile and wait for nothing.
    """
    with reading(database) as groups:
        output = Output("utf-8")
        done = 0
        # On one terminal the lines would run over the bar, and are progress enough.
        with steps("Exporting", hidden=output.is_terminal) as progress:

            def write(group: str, topics: list[str], number: int) -> None:
                nonlocal done
                output.write(f"{output.json({'group': group, 'topics': topics})}\n")
                done += 1
                progress(done, number)

            groups.read(figures.for_each_group, write)


@click.command("import", epilog=parameters.example("beryl-groups import groups.db groups.jsonl"))
@parameters.database
@parameters.file
def import_(database: str, file: str) -> None:
    """Take back what export wrote.

    All of it, or nothing. A group that is not there is created. One that is there holds exactly
    the topics of its line afterwards. Groups that FILE does not name stay as they are. The
    database is made where there is none. "-" reads standard input.
    """
    try:
        with (
            opened(file) as stream,
            steps("Reading", hidden=size(stream) is None) as progress,
        ):
            wanted = _parsed(lines(_tracked(stream, progress)))
    except BadLine as error:
        raise click.ClickException(
            f"Nothing was imported, for line {error.number} of {shown(file)} is bad: "
            f"{error.reason}."
        ) from error
    # Nobody has had to wait for us so far, however slowly the lines came.
    with (
        writing(database, make=True) as groups,
        groups.transaction() as transaction,
        steps("Importing") as progress,
    ):
        for done, (group, topics) in enumerate(wanted.items(), 1):
            if group not in transaction:
                transaction.create(group)
            transaction.set_topics(group, topics)
            progress(done, len(wanted))


def _tracked(stream: BinaryIO, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    """Give the lines of a stream, and tell how much of it has been read."""
    total, done = size(stream), 0
    for line in stream:
        done += len(line)
        progress(done, total or done)
        yield line


def _parsed(numbered: Iterable[tuple[int, str]]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    line_of: dict[str, int] = {}
    for number, line in numbered:
        try:
            group, topics = _group(line)
        except (TypeError, ValueError) as error:
            raise BadLine(number, str(error)) from error
        except RecursionError as error:
            raise BadLine(number, _SHAPE) from error
        if group in wanted:
            raise BadLine(number, f"it has the group {group!r}, as line {line_of[group]} does")
        wanted[group], line_of[group] = topics, number
    return wanted


def _group(line: str) -> tuple[str, list[str]]:
    try:
        record = json.loads(line, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        reason = f"it is no JSON ({error.msg} at character {error.pos + 1})"
        raise ValueError(reason) from error
    if not isinstance(record, dict) or record.keys() != {"group", "topics"}:
        raise ValueError(_SHAPE)
    group, topics = record["group"], record["topics"]
    if not isinstance(group, str) or not isinstance(topics, list):
        raise TypeError(_SHAPE)
    return check_name(group), check_names(topics)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a key twice")
    return found
