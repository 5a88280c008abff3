"""The command line: ``beryl-groups``, or ``python -m beryl_groups``.

How a command ends, whatever it does: with the status 0 when it is done, 1 when it was refused or
failed, 2 when it was called wrongly, 130 on Ctrl-C, and 141 when the reader of its output has gone
away. With 1 and 130 there is a sentence on standard error, and never a traceback. Only while Python
itself starts, before `beryl_groups.__main__` has its turn, Ctrl-C ends it in Python's own words.
"""

from __future__ import annotations

import traceback
from typing import IO, Any

import click

from beryl_groups import demo as demonstration
from beryl_groups.commandline import (
    completion,
    output,
    parameters,
    reading,
    sending,
    transfer,
    upkeep,
    watching,
    writing,
)
from beryl_groups.errors import GroupError
from beryl_groups.lines import in_one_line


class _Interrupted(click.ClickException):
    """Ctrl-C."""

    exit_code = 130

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=True)


class _ReaderGone(click.ClickException):
    """The reader of the output has had enough, and nobody is to be told."""

    exit_code = 141

    def show(self, file: IO[Any] | None = None) -> None:
        pass


class _Commands(click.Group):
    """Commands in the order in which they were added, and how they end."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - it is click's
        return list(self.commands)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # By its name alone click would not know a beryl-groups.exe.
        return super().main(*args, **{"complete_var": completion.VARIABLE, **kwargs})

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except KeyboardInterrupt as error:
            raise _ending(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            status = super().invoke(ctx)
            output.flush()
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise _ending(error) from error
        finally:
            output.settle()
        if status:
            ctx.exit(status)
        return None


def _ending(error: BaseException) -> click.ClickException:
    """Return how the program ends for an error that no command has told of itself."""
    if _is_of_an_interrupt(error):
        return _Interrupted("Interrupted.")
    if isinstance(error, GroupError):
        return click.ClickException(in_one_line(error))
    if isinstance(error, OSError) and output.is_closed_pipe(error):
        return _ReaderGone("")
    kind = type(error).__name__
    if isinstance(error, OSError | MemoryError):
        return click.ClickException(f"{kind}: {in_one_line(error)}")
    *_, last = traceback.extract_tb(error.__traceback__)
    return click.ClickException(
        f"This is a fault of beryl-groups, please report it: {kind} in {last.name}, line "
        f"{last.lineno} of {last.filename}: {in_one_line(error)}"
    )


def _is_of_an_interrupt(error: BaseException | None) -> bool:
    """Tell whether it began with Ctrl-C, even if something failed on the way out."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


@click.group(
    cls=_Commands,
    epilog=parameters.example(
        "beryl-groups create groups.db team:design && "
        "beryl-groups add groups.db team:design room:fonts"
    ),
)
@click.version_option(package_name="beryl_groups", message="%(package)s %(version)s")
def main() -> None:
    """Durable groups of topics in one SQLite file, or in a PostgreSQL database.

    DB is the path of the file, the URL of a database (postgresql://USER@HOST/NAME), or env:NAME for
    what the environment variable NAME holds: others can see a password in a command. Commands that
    read make no file and wait for no writer. "-" in the place of several names or of a file to read
    is standard input. For more on a command: beryl-groups COMMAND --help.
    """


@click.command(epilog=parameters.example("beryl-groups demo"))
@click.argument("database", type=parameters.DATABASE, metavar="[DB]", required=False)
@click.option("--read-back", is_flag=True, hidden=True, help="Be the second process.")
def demo(database: str | None, *, read_back: bool) -> None:
    """Fill a database with the time zones.

    Those of the world; then restart, read and broadcast. Without DB it makes a new file in the
    current folder. In a file that is there already it adds its groups and topics to what the
    file holds, and takes nothing away.
    """
    if read_back and database is not None:
        demonstration.read_back(database)
    else:
        demonstration.run(database)


for _command in (
    reading.list_groups,
    writing.create,
    writing.delete,
    writing.rename,
    writing.add,
    writing.remove,
    writing.set_topics,
    reading.topics,
    reading.groups_of,
    watching.watch,
    sending.broadcast,
    transfer.export,
    transfer.import_,
    upkeep.backup,
    upkeep.restore,
    upkeep.check,
    upkeep.upgrade,
    reading.stats,
    demo,
):
    main.add_command(_command)
completion.register()
