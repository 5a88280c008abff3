"""``connect``: a callback for a URL, with a client of its own for as long as it is needed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from beryl_groups.channels import mqtt_connection, redis_connection, standard_output
from beryl_groups.channels.encryption import ENCRYPTED, encryption
from beryl_groups.channels.errors import SendFailed
from beryl_groups.channels.text import some
from beryl_groups.channels.time_limit import seconds_of
from beryl_groups.lines import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike
    from urllib.parse import SplitResult

_TRANSPORTS = {
    "mqtt": mqtt_connection.connected,
    "mqtts": mqtt_connection.connected,
    "redis": redis_connection.connected,
    "rediss": redis_connection.connected,
    "redis+unix": redis_connection.connected,
    "stdout": standard_output.connected,
}

_ENCODED = "a '/', '?', '#' or '@' in a user name or password is written as %2F, %3F, %23 or %40."


@contextmanager
def connect(  # noqa: PLR0913 - one for each option of its own
    url: str,
    *,
    timeout: float = 10.0,
    cafile: str | PathLike[str] | None = None,
    cert: str | PathLike[str] | None = None,
    key: str | PathLike[str] | None = None,
    server_name: str | None = None,
) -> Iterator[Callable[[str, str, Any], None]]:
    r"""Connect to a broker for the length of a block, and give a callback that sends to it.

    ``url`` is ``mqtt://host:port`` (sent with QoS 1), ``redis://host:port/0``, both encrypted as
    ``mqtts://`` and ``rediss://``, ``redis+unix:///path`` for the socket of a Redis on the same
    machine, or ``stdout:``, which prints a line ``topic<TAB>event<TAB>payload`` for each call, a
    name that would break it as a JSON string. MQTT and Redis need the package's extra of that
    name. A socket could be anybody's: the URL says first what is spoken there, and then where.

    User and password stand before the host, as ``user:password@``. For a user without a password,
    ``user@`` (in ``redis:`` also ``@`` alone), it is taken from the environment variable
    ``BERYL_GROUPS_PASSWORD``, where that is set.

    An encrypted peer has to show a certificate that is valid, for the host of the URL or, where it
    is reached by another name or an address, for ``server_name``, and signed by an authority that
    the system trusts, or one of those in ``cafile``. ``cert`` and ``key`` are the certificate that
    is shown to it, and its key, which may also stand in the file of ``cert``. All three are files
    in PEM format. ``ValueError`` says which option cannot be used.

    A block that was left without an error has sent everything: the end of it waits until the
    broker has what was sent. `SendFailed` is raised where the broker cannot be reached or does
    not confirm, and at the end of the block where a call in it raised, which a broadcast only
    logs. So is it where the broker refuses a message, or ends the connection: the sentence names
    the first topics and the broker's reason. A broker that speaks MQTT 3.1.1 and not MQTT 5 has no
    word for refusing a message, and confirms it all the same. A block that raises is left at once.
    A call to the callback of a broker after the block raises `SendFailed`.

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
            "mqtt://host:port, redis://host:port/0 (or with mqtts: and rediss:, encrypted), "
            f"redis+unix:///path or stdout: is expected, not {parts.scheme!r}."
        )
    _refuse_bad_port(parts)
    options = encryption(cafile, cert, key, server_name)
    if parts.scheme not in ENCRYPTED:
        options.refuse_for(parts.scheme)
    with connected(parts, seconds, options) as send:
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
                f"{some(self._failed)}), the first of them for this reason: "
                f"{reason_of(self._first)}."
            ) from self._first
