"""Standard output as a transport: a line for each topic."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from beryl_groups.channels.text import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

# What breaks a line, for one reader or another, or tells a terminal what to do.
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")
_SHORT = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r"}


@contextmanager
def connected(url: SplitResult, timeout: float) -> Iterator[Callable[[str, str, Any], None]]:  # noqa: ARG001
    """Give a callback that prints, and raise at the end where the reader has gone away."""
    if url.netloc or url.path or url.query or url.fragment:
        raise ValueError("The URL of standard output is stdout: and nothing more.")
    gone: list[BrokenPipeError] = []

    def send(topic: str, event: str, payload: Any) -> None:
        line = "\t".join(map(one_line, (topic, event, as_json(payload))))
        if gone:  # once is enough: there is nobody to tell
            return
        try:
            print(line, flush=True)
        except BrokenPipeError as error:
            gone.append(error)

    yield send
    if gone:
        raise gone[0]


def one_line(text: str) -> str:
    r"""Return the text with its control characters as JSON escapes them.

    >>> print(one_line("a\tb\x1b[m"))
    a\tb\u001b[m
    """
    return _CONTROL.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), text)
