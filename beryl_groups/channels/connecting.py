"""``connect``: a callback for a URL, with a client of its own for as long as it is needed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from beryl_groups.channels import mqtt_connection, redis_connection, standard_output
from beryl_groups.channels.errors import SendFailed
from beryl_groups.names import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TRANSPORTS = {
    "mqtt": mqtt_connection.connected,
    "redis": redis_connection.connected,
    "stdout": standard_output.connected,
}

_A_WEEK = 604_800.0  # more than a timer can hold helps nobody


@contextmanager
def connect(url: str, *, timeout: float = 10.0) -> Iterator[Callable[[str, str, Any], None]]:
    r"""Connect to a broker for the length of a block, and give a callback that sends to it.

    ``url`` is ``mqtt://host:port`` (sent with QoS 1), ``redis://host:port/0``, both also with
    ``user:password@``, or ``stdout:``, which prints a line ``topic<TAB>event<TAB>payload`` for
    each call, a name that would break it as a JSON string. MQTT and Redis need the package's
    extra of that name.

    A block that was left without an error has sent everything: the end of it waits until the
    broker has what was sent. `SendFailed` is raised where the broker cannot be reached or does
    not confirm within ``timeout`` seconds, and at the end of the block where a call in it raised,
    which a broadcast only logs. A block that raises is left at once.

    >>> with connect("stdout:") as channels:
    ...     groups.broadcast(channels, "team:engineering", "deploy_started", {"env": "prod"})
    room:backend...deploy_started...{"env": "prod"}
    room:frontend...deploy_started...{"env": "prod"}
    """
    seconds = _seconds(timeout)
    parts = urlsplit(url)
    connected = _TRANSPORTS.get(parts.scheme)
    if connected is None:
        # Without the rest of the URL, which may hold a password.
        raise ValueError(
            f"mqtt://host:port, redis://host:port/0 or stdout: is expected, not {parts.scheme!r}."
        )
    with connected(parts, seconds) as send:
        counted = _Counted(send)
        yield counted
    counted.refuse_if_failed()


def _seconds(timeout: float) -> float:
    """Return a number of seconds that a client can wait, whatever kind of number it was."""
    try:
        if 0 < timeout <= _A_WEEK:  # which NaN is not either
            return float(timeout)
    except TypeError as error:
        raise TypeError(f"timeout is a number of seconds, not {shown(timeout)}.") from error
    raise ValueError(
        f"timeout is a number of seconds above 0, at most a week ({_A_WEEK:.0f}), "
        f"not {shown(timeout)}."
    )


class _Counted:
    """A callback that remembers whether a call failed."""

    def __init__(self, send: Callable[[str, str, Any], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._failures = 0
        self._first: Exception | None = None

    def __call__(self, topic: str, event: str, payload: Any) -> None:
        try:
            self._send(topic, event, payload)
        except Exception as error:
            with self._lock:
                self._failures += 1
                self._first = self._first or error
            raise

    def refuse_if_failed(self) -> None:
        if self._first is not None:
            first = str(self._first) or repr(self._first)
            raise SendFailed(
                f"{self._failures} of the messages could not be sent, the first of them for this "
                f"reason: {first}"
            ) from self._first
