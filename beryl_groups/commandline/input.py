"""Standard input and files, a line at a time."""

from __future__ import annotations

import codecs
import os
import stat
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from beryl_groups.errors import InvalidName
from beryl_groups.lines import in_one_line, name_of
from beryl_groups.names import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

STANDARD_INPUT = "-"


def standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise click.ClickException("There is no standard input to read from.")
    return sys.stdin.buffer


def opened(file: str) -> AbstractContextManager[BinaryIO]:
    """Open a file to read, or give standard input for ``-``."""
    if file == STANDARD_INPUT:
        return nullcontext(standard_input())
    try:
        return Path(file).open("rb")
    except (OSError, ValueError) as error:
        reason = in_one_line(getattr(error, "strerror", None) or error).lower()
        raise click.ClickException(f"The file {file!r} cannot be read: {reason}.") from error


def size(stream: BinaryIO) -> int | None:
    """Return how many bytes there are to read; None for what is no file."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def shown(file: str) -> str:
    return "standard input" if file == STANDARD_INPUT else repr(file)


def lines(stream: Iterable[bytes], encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Give each line that is not empty with its number, or raise `BadLine`."""
    for number, raw in enumerate(stream, 1):
        line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line:
            try:
                yield number, line.decode(encoding)
            except UnicodeDecodeError as error:
                raise BadLine(number, f"it is not in {encoding.upper()}") from error


class BadLine(Exception):  # noqa: N818 - named as the errors of the package are
    """A line that cannot be used, and why."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(number, reason)
        self.number = number
        self.reason = reason.removesuffix(".")


def with_standard_input(names: tuple[str, ...]) -> list[str]:
    """Return the names, those on standard input in the place of ``-``."""
    if names.count(STANDARD_INPUT) > 1:
        raise click.UsageError("Standard input can be read once: give '-' once.")
    found: list[str] = []
    for name in names:
        if name == STANDARD_INPUT:
            found.extend(_names())
        else:
            found.append(name)
    return found


def _names() -> Iterator[str]:
    encoding = sys.stdin.encoding if sys.stdin is not None else "utf-8"
    try:
        for number, line in lines(standard_input(), encoding):
            try:
                yield check_name(name_of(line))
            except InvalidName as error:
                raise BadLine(number, str(error)) from error
            except ValueError as error:
                raise BadLine(number, str(error)) from error
    except BadLine as error:
        raise click.ClickException(
            f"Line {error.number} of standard input cannot be used: {error.reason}."
        ) from error
