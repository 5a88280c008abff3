"""``connect``: a callback for a URL, with a client of its own for as long as it is needed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from beryl_groups.channels import mqtt_connection, redis_connection, standard_output
from beryl_groups.channels.errors import SendFailed
from beryl_groups.channels.time_limit import seconds_of
from beryl_groups.lines import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

_TRANSPORTS = {
    "mqtt": mqtt_connection.connected,
    "redis": redis_connection.connected,
    "stdout": standard_output.connected,
}

_MOST_TOPICS = 3
"""Topics that a sentence names; of the others it gives the number."""

_ENCODED = "a '/', '?', '#' or '@' in a user name or password is written as %2F, %3F, %23 or %40."


@contextmanager
def connect(url: str, *, timeout: float = 10.0) -> Iterator[Callable[[str, str, Any], None]]:
    r"""Connect to a broker for the length of a block, and give a callback that sends to it.

    ``url`` is ``mqtt://host:port`` (sent with QoS 1), ``redis://host:port/0``, both also with
    ``user:password@``, or ``stdout:``, which prints a line ``topic<TAB>event<TAB>payload`` for
    each call, a name that would break it as a JSON string. MQTT and Redis need the package's
    extra of that name.

    A block that was left without an error has sent everything: the end of it waits until the
    broker has what was sent. `SendFailed` is raised where the broker cannot be reached or does
    not confirm, and at the end of the block where a call in it raised, which a broadcast only
    logs. A block that raises is left at once. A call to the callback of a broker after the block
    raises `SendFailed`.

    ``timeout`` seconds are the most that is waited for the broker in all: until its name is
    resolved, it is connected and has answered, has room for more, and at the end has confirmed.
    What else the block does takes no time from that, and the connection, once it is there, and
    each confirmation begin it anew: a broker that gets on is waited for, however much there is to
    send.

    >>> with connect("stdout:") as channels:
    ...     groups.broadcast(channels, "team:engineering", "deploy_started", {"env": "prod"})
    room:backend...deploy_started...{"env": "prod"}
    room:frontend...deploy_started...{"env": "prod"}
    """
    seconds = seconds_of(timeout)
    parts = _split(url)
    connected = _TRANSPORTS.get(parts.scheme)
    if connected is None:
        # Without the rest of the URL, which may hold a password.
        raise ValueError(
            f"mqtt://host:port, redis://host:port/0 or stdout: is expected, not {parts.scheme!r}."
        )
    _refuse_bad_port(parts)
    with connected(parts, seconds) as send:
        counted = _Counted(send)
        yield counted
    counted.refuse_if_failed()


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # What Python says holds a part of the URL, which may be a password.
        raise ValueError("The URL cannot be understood: " + _ENCODED) from None


def _refuse_bad_port(parts: SplitResult) -> None:
    try:
        if parts.port != 0:
            return
    except ValueError:
        pass  # what it says is no sentence, and may hold a part of a password
    start = f"{parts.scheme}://{parts.hostname or ''}:"
    raise ValueError(f"What follows {start} is no port from 1 to 65535; {_ENCODED}")


class _Counted:
    """A callback that remembers which calls failed."""

    def __init__(self, send: Callable[[str, str, Any], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._failed: list[str] = []
        self._first: Exception | None = None

    def __call__(self, topic: str, event: str, payload: Any) -> None:
        try:
            self._send(topic, event, payload)
        except Exception as error:
            with self._lock:
                self._failed.append(topic)
                self._first = self._first or error
            raise

    def refuse_if_failed(self) -> None:
        if self._first is not None:
            raise SendFailed(
                f"{len(self._failed)} of the messages could not be sent (to "
                f"{_some(self._failed)}), the first of them for this reason: "
                f"{reason_of(self._first)}."
            ) from self._first


def _some(topics: list[str]) -> str:
    """Return the first topics, each once, and how many others there are."""
    names = [*map(repr, dict.fromkeys(topics))]
    if len(names) > _MOST_TOPICS:
        names[_MOST_TOPICS:] = [f"{len(names) - _MOST_TOPICS} more"]
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
