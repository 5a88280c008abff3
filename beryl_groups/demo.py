"""The main job on real input: the time zones of the world in groups, kept over a restart."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
import zoneinfo
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from beryl_groups.errors import GroupError
from beryl_groups.groups import start
from beryl_groups.opening import file_of, server_of

if TYPE_CHECKING:
    from beryl_groups.groups import Groups

# The offset of a zone changes over the year: at a fixed moment every run finds the same groups.
MOMENT = datetime(2025, 1, 1, tzinfo=UTC)

GROUP = "offset:+05:30"
_WANTED = f"WHERE group_name = '{GROUP}' ORDER BY topic"
QUERY = f"SELECT topic FROM memberships {_WANTED}"  # noqa: S608
QUERY_OF_SERVER = f"SELECT topic FROM beryl_groups.memberships {_WANTED}"  # noqa: S608

_VARIABLE = "BERYL_GROUPS_DEMO_DATABASE"
"""What hands the database on to the second process, for others can list arguments."""


def run(database: str | None) -> None:
    """Fill the database, have another process read it, and tell how to look into it."""
    wanted = time_zone_groups()
    database = _free_name() if database is None else database
    server = server_of(database)
    file = file_of(database) if server is None else ""
    program = _this_program()
    with start(database) as groups:
        fill(groups, wanted)
    zones = len(set().union(*wanted.values()))
    click.echo(
        f"Process {os.getpid()} put {zones} time zones into {len(wanted)} groups in one "
        "transaction: Europe/Berlin, for one, into region:Europe and offset:+01:00."
    )
    _run_again(program, database)
    if server is None:
        shown = click.format_filename(file if "://" in database else database)
        shell, command, place = "sqlite3", f'{_quoted(shown)} "{QUERY}"', "file"
    else:
        shown = server
        shell, command, place = "psql", f'{_quoted(shown)} -c "{QUERY_OF_SERVER}"', "database"
    click.echo(f"The {shell} shell shows the same topics:\n  {shell} {command}")
    click.echo(f"{len(wanted)} groups of {zones} time zones are in the {place} {shown}.")


def read_back(database: str) -> None:
    """Compare what the database holds with what was put there, and broadcast."""
    wanted = time_zone_groups()
    with start(database) as groups:
        for name, topics in wanted.items():
            if not topics <= groups.topics(name):
                raise GroupError(f"The group {name!r} has lost topics.")
        opened = "opened the file" if server_of(database) is None else "opened the database"
        click.echo(
            f"Process {os.getpid()} {opened}, read the {len(wanted)} groups back, and "
            f"broadcasts the event new_year to {GROUP}:"
        )
        groups.broadcast(_show, GROUP, "new_year", MOMENT.year)


def time_zone_groups() -> dict[str, set[str]]:
    """Put each IANA time zone into the groups of its region and of its offset."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    # Debian lists the machine's own setting among the zones; its name is not of the IANA.
    for zone in zoneinfo.available_timezones() - {"localtime"}:
        region, slash, _ = zone.partition("/")
        if slash:
            found[f"region:{region}"].add(zone)
        offset = MOMENT.astimezone(zoneinfo.ZoneInfo(zone)).isoformat()[-len("+00:00") :]
        found[f"offset:{offset}"].add(zone)
    if not found:
        raise GroupError(
            'This system has no time zone data for the demo: pip install "beryl_groups[demo]".'
        )
    return dict(found)


def fill(groups: Groups, wanted: dict[str, set[str]]) -> None:
    """Add the groups and topics in one transaction; what the file holds already stays."""
    with groups.transaction() as transaction:
        for name, topics in wanted.items():
            if name not in transaction:
                transaction.create(name)
            transaction.add(name, *topics)


def _free_name() -> str:
    names = itertools.chain(
        ["groups-demo.db"], (f"groups-demo-{number}.db" for number in itertools.count(2))
    )
    return next(name for name in names if not os.path.lexists(name))


def _run_again(program: list[str], database: str) -> None:
    command = [*program, "demo", "--read-back", "--", f"env:{_VARIABLE}"]
    # From a zip file, too, the second process is to find what this one has found.
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    variables[_VARIABLE] = database
    status = subprocess.run(command, env=variables, check=False).returncode  # noqa: S603 - our own
    if status == 1:
        raise SystemExit(1)  # it has said why
    if status != 0:
        raise GroupError(f"The second process ended with the status {status}.")


def _this_program() -> list[str]:
    """Return how the command line is started once more."""
    if not getattr(sys, "frozen", False):
        return [sys.executable, "-m", "beryl_groups"]
    if sys.argv[1:2] != ["demo"]:  # it might do anything when it is started with that
        raise GroupError("The demo starts its program twice, and this one is not beryl-groups.")
    return [sys.executable]


def _show(topic: str, event: str, payload: int) -> None:
    click.echo(f"  {topic} {event} {payload}")


def _quoted(file: str) -> str:
    return subprocess.list2cmdline([file]) if os.name == "nt" else shlex.quote(file)
