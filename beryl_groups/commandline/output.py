"""Standard output."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from beryl_groups.lines import in_one_line, is_utf8, json_text, line_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class Output:
    """Lines on standard output, in its own encoding or in UTF-8."""

    def __init__(self, encoding: str | None = None) -> None:
        if sys.stdout is None:
            raise click.ClickException("There is no standard output to write to.")
        sys.stdout.flush()
        self.is_terminal = sys.stdout.isatty()
        self._bytes = sys.stdout.buffer
        self._encoding = encoding or sys.stdout.encoding
        self._ascii_only = not is_utf8(self._encoding)

    def name(self, name: str) -> str:
        """Return the name as it stands in a line."""
        return line_of(name, self._encoding)

    def json(self, value: object) -> str:
        return json_text(value, ascii_only=self._ascii_only)

    def write(self, text: str) -> None:
        """Write a text whose names have been made fit for it."""
        try:
            self._bytes.write(text.encode(self._encoding, "backslashreplace"))
        except OSError as error:
            raise _failed(error) from error

    def names(self, names: Iterable[str], *, as_json: bool) -> None:
        """Write one name a line, or an array of them."""
        if as_json:
            self.array(names)
        else:
            for name in names:
                self.write(f"{self.name(name)}\n")

    def array(self, values: Iterable[object]) -> None:
        """Write a JSON array, one value a line."""
        before = "["
        for value in values:
            self.write(f"{before}{self.json(value)}")
            before = ",\n "
        self.write("[]\n" if before == "[" else "]\n")


def flush() -> None:
    """Have all that was written leave the process, or fail as a write would have."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError as error:
            raise _failed(error) from error


def settle() -> None:
    """Have what was written before an error leave the process, and lose what cannot."""
    with suppress(OSError):
        if sys.stdout is not None:
            sys.stdout.flush()
        return
    _discard()


def _discard() -> None:
    """Lose what could not be written: the interpreter tries again at its end, and complains."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, sys.stdout.fileno())
        finally:
            os.close(nowhere)


def is_closed_pipe(error: OSError) -> bool:
    """Tell whether the reader has gone away; Windows has its own name for it."""
    return error.errno == errno.EPIPE or (os.name == "nt" and error.errno == errno.EINVAL)


def _failed(error: OSError) -> OSError | click.ClickException:
    if is_closed_pipe(error):
        return error
    return click.ClickException(
        f"Standard output cannot be written: {in_one_line(error.strerror or error)}."
    )
