"""The command that sends an event."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from beryl_groups.commandline import parameters
from beryl_groups.commandline.database import reading
from beryl_groups.commandline.input import STANDARD_INPUT, standard_input, with_standard_input
from beryl_groups.commandline.output import Output
from beryl_groups.lines import in_one_line

_STANDARD_OUTPUT = "stdout:"
_SECONDS = 10.0


@click.command(
    epilog=parameters.example(
        "beryl-groups broadcast groups.db team:design review '{\"round\": 2}'"
    )
)
@parameters.database
@parameters.group
@click.argument("event", type=parameters.TEXT, metavar="EVENT")
@click.argument(
    "payload", type=parameters.TEXT, metavar="[PAYLOAD-JSON]", default="null", required=False
)
@click.option(
    "--to",
    "url",
    type=parameters.TEXT,
    metavar="URL",
    help="Send to mqtt://HOST:PORT or redis://HOST:PORT/0, encrypted to mqtts: or rediss:, or to "
    "redis+unix:///PATH; stdout: is the same as no URL. A user without a password, as in "
    "mqtt://USER@HOST, has that of the environment variable BERYL_GROUPS_PASSWORD.",
)
@parameters.exclude
@click.option(
    "--timeout",
    type=float,
    default=_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the broker to be connected, and for each confirmation.",
)
@parameters.cafile
@parameters.cert
@parameters.key
@parameters.server_name
@parameters.as_json
@click.pass_context
def broadcast(  # noqa: PLR0913 - one for each argument and option
    context: click.Context,
    database: str,
    group: str,
    event: str,
    payload: str,
    *,
    url: str | None,
    exclude: tuple[str, ...],
    timeout: float,
    cafile: str | None,
    cert: str | None,
    key: str | None,
    server_name: str | None,
    as_json: bool,
) -> None:
    """Send an event to each topic of a group.

    For each topic in code point order a line is written: the topic, a tab, the event, a tab, and
    the payload as JSON, null where none is given. With --to it is sent to a broker instead, and the
    command ends when the broker has it all. A group that does not exist has no topics.

    "-" as the payload, or as the topic to exclude, stands for standard input.
    """
    for option in ("timeout", "cafile", "cert", "key", "server_name"):
        if url is None and context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{_as_typed(option)} goes with --to.")
    if url is not None and as_json:
        raise click.UsageError("--json shows what --to would send: give one of them.")
    if payload == STANDARD_INPUT and STANDARD_INPUT in exclude:
        raise click.UsageError("Standard input can be read once: give '-' once.")
    if url is not None:
        _refuse_if_no_time(timeout)
    value = _payload(payload)
    left_out = with_standard_input(exclude)
    topics: list[str] = []
    with reading(database) as groups:
        # First all the topics: no connection to the database is held while a broker is slow, and
        # what fails on the way is ours to tell.
        groups.broadcast(
            lambda topic, _event, _payload: topics.append(topic),
            group,
            event,
            value,
            exclude=left_out,
        )
    encryption = {"cafile": cafile, "cert": cert, "key": key, "server_name": server_name}
    if url is None or (url == _STANDARD_OUTPUT and {*encryption.values()} == {None}):
        _show(topics, event, value, as_json=as_json)
    else:
        _send(url, topics, event, value, timeout=timeout, **encryption)


def _refuse_if_no_time(timeout: float) -> None:
    from beryl_groups.channels.time_limit import seconds_of  # noqa: PLC0415 - only who sends

    try:
        seconds_of(timeout)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--timeout'") from error


def _payload(text: str) -> Any:
    hint = "'PAYLOAD-JSON'"
    try:
        if text == STANDARD_INPUT:
            text = standard_input().read().decode()
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, character {error.colno}"
        raise click.BadParameter(
            f"it is no JSON: {error.msg} ({where}).", param_hint=hint
        ) from error
    except UnicodeDecodeError as error:
        raise click.BadParameter("it is not in UTF-8.", param_hint=hint) from error
    except ValueError as error:
        raise click.BadParameter(f"it is no JSON: {error}.", param_hint=hint) from error
    except RecursionError as error:
        raise click.BadParameter("it is nested too deep.", param_hint=hint) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number there")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text} is too large")
    return number


def _show(topics: list[str], event: str, payload: Any, *, as_json: bool) -> None:
    output = Output()
    if as_json:
        output.array({"topic": topic, "event": event, "payload": payload} for topic in topics)
        return
    same_for_all = f"\t{output.name(event)}\t{output.json(payload)}\n"
    for topic in topics:
        output.write(output.name(topic) + same_for_all)


def _send(url: str, topics: list[str], event: str, payload: Any, **options: Any) -> None:
    from beryl_groups.channels import connect  # noqa: PLC0415 - only who sends needs it

    try:
        with connect(url, **options) as send:
            for topic in topics:
                # The rest of the topics get the event, and then the end of the block raises.
                with suppress(Exception):
                    send(topic, event, payload)
    except ValueError as error:
        option = _as_typed(getattr(error, "option", "to"))
        raise click.BadParameter(in_one_line(error), param_hint=f"'{option}'") from error


def _as_typed(option: str) -> str:
    return "--" + option.replace("_", "-")
