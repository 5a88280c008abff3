"""A connection to Redis for the length of a block."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from beryl_groups.channels.encryption import ENCRYPTED, other_way, reason_of_tls
from beryl_groups.channels.errors import SendFailed, Undelivered, ended
from beryl_groups.channels.password import user_and_password
from beryl_groups.channels.text import event_and_payload, place
from beryl_groups.channels.time_limit import A_MOMENT, LimitedCondition
from beryl_groups.lines import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socket import socket
    from ssl import SSLContext
    from urllib.parse import SplitResult

    from redis import Redis
    from redis.connection import SSLConnection

    from beryl_groups.channels.encryption import Encryption

_PORT = 6379

_MAYBE_OTHER_WAY = re.compile("closed by|reset|Protocol Error|speak TLS", re.IGNORECASE)

_DATABASE = re.compile("(/[0-9]{0,10})?")

_MOST_WAITING = 1000
"""Messages that may wait for the round trip before them to end, and then share the next."""

_MOST_AT_ONCE = 100
"""Messages of a round trip: a slow Redis is seen to get on with every one of them."""


@contextmanager
def connected(
    url: SplitResult, timeout: float, options: Encryption
) -> Iterator[Callable[[str, str, Any], None]]:
    """Give a callback that sends in the background, and wait at the end until Redis has all."""
    address = _address(url)
    user, password = user_and_password(url)
    context = options.context() if url.scheme == "rediss" else None
    try:
        import redis  # noqa: PLC0415 - it comes with the extra
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415
    except ImportError as error:
        raise SendFailed(
            "redis-py, which sends to redis:, is not here: pip install 'beryl_groups[redis]'."
        ) from error
    # Without tries of its own: they would last for several times the timeout.
    client = redis.Redis(
        **address,
        ssl=context is not None,
        ssl_check_hostname=context is not None,  # should redis-py not ask ours
        protocol=2,  # the newer begins with a word that older servers lack, or hide a reason behind
        username=user or None,
        password=password or None,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )
    if context is not None:
        client.connection_pool.connection_class = _encrypted_by(context)
    session = _Session(client, url, timeout, options.server_name)
    try:
        session.open()
        yield session.send
        session.wait_until_sent()
    finally:
        session.close()


def _encrypted_by(context: SSLContext) -> type[SSLConnection]:
    """Return connections with a context of ours, for which redis-py has no option."""
    from redis.connection import SSLConnection  # noqa: PLC0415 - it comes with the extra

    class Encrypted(SSLConnection):
        def _connect(self) -> socket:
            plain: socket = super(SSLConnection, self)._connect()  # type: ignore[no-untyped-call]
            try:
                return context.wrap_socket(plain, server_hostname=self.host)
            except BaseException:
                plain.close()
                raise

    return Encrypted


def _address(url: SplitResult) -> dict[str, Any]:
    if url.scheme == "redis+unix":
        if url.hostname or url.port or not url.path.strip("/") or url.query or url.fragment:
            raise ValueError(
                "The URL of a socket of Redis is redis+unix:///path, with user:password@ before "
                "the path at most, and nothing after it."
            )
        return {"unix_socket_path": unquote(url.path)}
    if not _DATABASE.fullmatch(url.path) or url.query or url.fragment:
        raise ValueError(
            f"A Redis URL is {url.scheme}://host:port/0, where 0 is the number of the database, "
            "with nothing after it."
        )
    database = url.path.removeprefix("/")
    return {"host": _host(url), "port": url.port or _PORT, "db": int(database or 0)}


def _host(url: SplitResult) -> str:
    return unquote(url.hostname or "localhost")


class _Session:
    """What waits to be published, and a thread that publishes many of it in one round trip.

    Whoever sends need not wait for the round trip, and the first message need not wait for
    more: that is why it is a thread and not a pipeline that the caller fills. It also ends the
    waits: the client's own timeout counts from each byte that comes.
    """

    def __init__(
        self, client: Redis, url: SplitResult, timeout: float, server_name: str | None
    ) -> None:
        self._client = client
        self._pipeline = client.pipeline(transaction=False)
        read = self._renewing(self._pipeline.parse_response)
        self._pipeline.parse_response = read  # type: ignore[method-assign]
        self._scheme, host = url.scheme, _host(url)
        self._server_name = server_name or host
        address = url.path if url.scheme == "redis+unix" else place(host, url.port or _PORT)
        self._where = f"Redis at {address}"
        self._unanswered = f"it does not answer within {timeout:g} s"
        self._timeout = timeout
        self._changed = LimitedCondition(timeout)
        self._is_open = False
        self._waiting: list[tuple[str, str]] = []
        self._room = _MOST_WAITING
        self._under_way: list[tuple[str, str]] = []
        self._undelivered = Undelivered()
        self._failure: Exception | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="beryl_groups-redis", daemon=True)

    def open(self) -> None:
        self._thread.start()
        with self._changed:
            self._changed.wait_within_limit(lambda: self._is_open or self._failure)
            if not self._is_open:
                reason = self._reason(self._failure)
                raise SendFailed(f"{self._where} cannot be used: {reason}.") from self._failure

    def send(self, topic: str, event: str, payload: Any) -> None:
        message = (topic, event_and_payload(event, payload))
        with self._changed:
            if not self._changed.wait_within_limit(
                lambda: self._ended or len(self._waiting) < self._room
            ):
                raise SendFailed(f"{self._where} cannot be used: {self._unanswered}.")
            if self._ended:
                raise ended()
            self._waiting.append(message)
            self._changed.notify_all()

    def wait_until_sent(self) -> None:
        with self._changed:
            done = self._changed.wait_within_limit(lambda: not (self._waiting or self._under_way))
            left = [topic for topic, _ in (*self._under_way, *self._waiting)]
            self._undelivered.add(self._unanswered, *left)
            self._ended = done  # at once: a call from another thread must not slip in
        self._undelivered.refuse_if_any(f"taken by {self._where}")

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify_all()
        self._client.close()  # which also ends what the thread waits for
        # A thread that Ctrl-C kept from being started cannot be joined, which must not hide it.
        with suppress(RuntimeError):
            self._thread.join(A_MOMENT)

    def _run(self) -> None:
        from redis.exceptions import NoPermissionError  # noqa: PLC0415 - it comes with the extra

        try:
            with suppress(NoPermissionError):  # a user may publish and do nothing else
                self._client.ping()
        except Exception as error:  # noqa: BLE001 - whatever the answer of another server leads to
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            return
        with self._changed:
            self._is_open = True
            self._changed.renew_limit()
            self._changed.notify_all()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                batch = self._waiting[:_MOST_AT_ONCE]
                del self._waiting[:_MOST_AT_ONCE]
                self._under_way = batch
                self._changed.notify_all()
            answers, is_answered = self._publish(batch)
            with self._changed:
                self._under_way = []
                # Once Redis is gone one message tries whether it is back; the others fail fast.
                self._room = _MOST_WAITING if is_answered else 1
                for (topic, _), answer in zip(batch, answers, strict=True):
                    if isinstance(answer, Exception):
                        self._undelivered.add(self._reason(answer), topic, cause=answer)
                self._changed.notify_all()

    def _renewing(self, read: Callable[..., Any]) -> Callable[..., Any]:
        """Have each answer of a round trip, a refusal too, begin the time anew."""

        def read_and_renew(*arguments: Any, **options: Any) -> Any:
            from redis import ResponseError  # noqa: PLC0415 - it comes with the extra

            answer: Any = None
            try:
                answer = read(*arguments, **options)
            except ResponseError as refusal:
                answer = refusal
            with self._changed:
                self._changed.renew_limit()
            if isinstance(answer, ResponseError):
                raise answer
            return answer

        return read_and_renew

    def _publish(self, batch: list[tuple[str, str]]) -> tuple[list[Any], bool]:
        """Publish in one round trip; return an answer or error for each, and if Redis answered."""
        try:
            for topic, body in batch:
                self._pipeline.publish(topic, body)
            return self._pipeline.execute(raise_on_error=False), True
        except Exception as error:  # noqa: BLE001 - it is told at the end of the block
            with suppress(Exception):
                self._pipeline.reset()
            return [error] * len(batch), False

    def _reason(self, error: Exception | None) -> str:
        from redis import TimeoutError as NoAnswer  # noqa: PLC0415 - it comes with the extra

        hint = "" if self._is_open else other_way(self._scheme)
        if error is None or isinstance(error, NoAnswer):
            return self._unanswered + hint * (self._scheme in ENCRYPTED)
        reason = reason_of(error)
        if self._scheme in ENCRYPTED:
            reason = reason_of_tls(reason, self._server_name) or reason
        return reason + hint * bool(_MAYBE_OTHER_WAY.search(reason))
