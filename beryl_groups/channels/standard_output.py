"""Standard output as a transport: a line for each topic, as the command line writes it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from beryl_groups.channels.text import as_json
from beryl_groups.lines import is_utf8, json_text, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

    from beryl_groups.channels.encryption import Encryption


@contextmanager
def connected(
    url: SplitResult,
    _timeout: float,
    _options: Encryption,
) -> Iterator[Callable[[str, str, Any], None]]:
    """Give a callback that prints, and raise at the end where the reader has gone away."""
    if url.netloc or url.path or url.query or url.fragment:
        raise ValueError("The URL of standard output is stdout: and nothing more.")
    gone: list[BrokenPipeError] = []

    def send(topic: str, event: str, payload: Any) -> None:
        as_json(payload)  # what the brokers would not get is refused here, too
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        shown = json_text(payload, ascii_only=not is_utf8(encoding))
        line = f"{line_of(topic, encoding)}\t{line_of(event, encoding)}\t{shown}"
        if gone:  # once is enough: there is nobody to tell
            return
        try:
            print(line, flush=True)
        except BrokenPipeError as error:
            gone.append(error)

    yield send
    if gone:
        raise gone[0]
