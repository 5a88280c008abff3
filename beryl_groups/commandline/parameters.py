"""The arguments and options that commands share, and what a shell completes them to."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from beryl_groups import figures
from beryl_groups.commandline.database import reading
from beryl_groups.errors import GroupError
from beryl_groups.lines import is_bare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from beryl_groups.commandline.database import VisitedGroups

_MOST_COMPLETIONS = 1000


def example(command: str, *output: str) -> str:
    """Return what stands at the end of a command's help: how to call it, and what it prints."""
    return "\b\nExample:\n" + "".join(f"  {line}\n" for line in (f"$ {command}", *output))


def _file_names(
    _context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem[str]]:
    return [CompletionItem(typed, type="file")]


def _names(
    find: Callable[[VisitedGroups, str, str], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return a function for click, which gives no name rather than an error."""

    def complete(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        # The shell would have done this; and a Path would spoil a URL.
        database = os.path.expandvars(os.path.expanduser(context.params.get("database") or ""))  # noqa: PTH111
        try:
            with reading(database) as groups:
                found = list(find(groups, context.params.get("group") or "", typed))
        except GroupError:
            return []
        return [name for name in found if is_bare(name)]  # the shells take a name a line

    return complete


def _group_names(groups: VisitedGroups, _group: str, typed: str) -> list[str]:
    return groups.list_groups(typed, limit=_MOST_COMPLETIONS)


def _topics_of_all(groups: VisitedGroups, _group: str, typed: str) -> list[str]:
    return groups.read(figures.list_topics, typed, _MOST_COMPLETIONS)


def _topics_of_the_group(groups: VisitedGroups, group: str, typed: str) -> list[str]:
    return [topic for topic in sorted(groups.topics(group)) if topic.startswith(typed)]


class _Text(click.types.StringParamType):
    """An argument that has to be text: the system hands over any bytes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            os.fsencode(value).decode(sys.getfilesystemencoding())
        except UnicodeDecodeError:
            encoding = sys.getfilesystemencoding().upper()
            self.fail(f"it is not in {encoding}: {os.fsencode(value)!r}.", param, ctx)
        except UnicodeEncodeError:
            pass  # what no system hands over so; the library says what is wrong with it
        return super().convert(value, param, ctx)


TEXT = _Text()

_VARIABLE = "env:"


class _Database(click.types.StringParamType):
    """A path or a URL, or the environment variable that holds it: others can list arguments."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        given = super().convert(value, param, ctx)
        if not given.startswith(_VARIABLE):
            return given
        name = given.removeprefix(_VARIABLE)
        if not (found := os.environ.get(name)):
            self.fail(f"there is no environment variable {name!r}, or it is empty.", param, ctx)
        return found


DATABASE = _Database()

database = click.argument("database", type=DATABASE, metavar="DB", shell_complete=_file_names)
group = click.argument("group", type=TEXT, metavar="GROUP", shell_complete=_names(_group_names))
old_group = click.argument("group", type=TEXT, metavar="OLD", shell_complete=_names(_group_names))
new_groups = click.argument("names", type=TEXT, metavar="NAME...", nargs=-1, required=True)
groups = click.argument(
    "names",
    type=TEXT,
    metavar="NAME...",
    nargs=-1,
    required=True,
    shell_complete=_names(_group_names),
)
topic = click.argument("topic", type=TEXT, metavar="TOPIC", shell_complete=_names(_topics_of_all))
topics = click.argument(
    "topics",
    type=TEXT,
    metavar="TOPIC...",
    nargs=-1,
    required=True,
    shell_complete=_names(_topics_of_all),
)
topics_of_the_group = click.argument(
    "topics",
    type=TEXT,
    metavar="TOPIC...",
    nargs=-1,
    required=True,
    shell_complete=_names(_topics_of_the_group),
)
file = click.argument("file", metavar="FILE", shell_complete=_file_names)
backup_file = click.argument("backup", metavar="BACKUP", shell_complete=_file_names)
new_file = click.argument("file", metavar="FILE", shell_complete=_file_names)

prefix = click.option(
    "--prefix",
    default="",
    type=TEXT,
    metavar="P",
    shell_complete=_names(_group_names),
    help="Only the groups whose names start with P.",
)
exclude = click.option(
    "--exclude",
    multiple=True,
    type=TEXT,
    metavar="TOPIC",
    shell_complete=_names(_topics_of_the_group),
    help="A topic that does not get the event; may be given several times.",
)
cafile = click.option(
    "--cafile",
    metavar="FILE",
    shell_complete=_file_names,
    help="Trust the authorities in this PEM file, too, for mqtts: and rediss:.",
)
cert = click.option(
    "--cert",
    metavar="FILE",
    shell_complete=_file_names,
    help="Show the broker the certificate in this PEM file.",
)
key = click.option(
    "--key",
    metavar="FILE",
    shell_complete=_file_names,
    help="The key of --cert, where it is in a PEM file of its own; without a password.",
)
server_name = click.option(
    "--server-name",
    type=TEXT,
    metavar="NAME",
    help="The name that the broker's certificate has to bear, where it is not the URL's host.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
backup_first = click.option(
    "--backup",
    metavar="FILE",
    shell_complete=_file_names,
    help="Copy the database to this new file first.",
)
