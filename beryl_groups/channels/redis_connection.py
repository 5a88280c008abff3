"""A connection to Redis for the length of a block."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from beryl_groups.channels.errors import SendFailed
from beryl_groups.channels.text import event_and_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

    from redis import Redis

_DATABASE = re.compile("(/[0-9]{0,10})?")

_MOST_WAITING = 1000
"""Messages that may wait for the round trip before them to end, and then share the next."""


@contextmanager
def connected(url: SplitResult, timeout: float) -> Iterator[Callable[[str, str, Any], None]]:
    """Give a callback that sends in the background, and wait at the end until Redis has all."""
    # redis-py ignores a path that is no number, and a query could set anything, the timeout too.
    if not _DATABASE.fullmatch(url.path) or url.query or url.fragment:
        raise ValueError(
            "A Redis URL is redis://host:port/0, where 0 is the number of the database, "
            "with nothing after it."
        )
    where = f"Redis at {url.hostname or 'localhost'}:{url.port or 6379}"
    try:
        import redis  # noqa: PLC0415 - it comes with the extra
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415
    except ImportError as error:
        raise SendFailed(
            "redis-py, which sends to redis:, is not here: pip install 'beryl_groups[redis]'."
        ) from error
    # Without tries of its own: they would last for several times the timeout.
    client = redis.Redis.from_url(
        url.geturl(),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )
    with client:
        try:
            client.ping()
        except Exception as error:
            # A peer that is no Redis makes redis-py raise whatever its answer leads to.
            reason = str(error) or repr(error)
            raise SendFailed(f"{where} cannot be used: {reason}") from error
        session = _Session(client, where, timeout)
        try:
            session.open()
            yield session.send
            session.wait_until_sent()
        finally:
            session.close()


class _Session:
    """What waits to be published, and a thread that publishes all of it in one round trip.

    Whoever sends need not wait for the round trip, and the first message need not wait for
    more: that is why it is a thread and not a pipeline that the caller fills.
    """

    def __init__(self, client: Redis, where: str, timeout: float) -> None:
        self._pipeline = client.pipeline(transaction=False)
        self._where = where
        self._timeout = timeout
        self._changed = threading.Condition()
        self._waiting: list[tuple[str, str]] = []
        self._under_way = 0
        self._stuck_since: float | None = None
        self._failed = 0
        self._first_failure: Exception | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="beryl_groups-redis", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def send(self, topic: str, event: str, payload: Any) -> None:
        message = (topic, event_and_payload(event, payload))
        with self._changed:
            if not self._changed.wait_for(self._has_room, self._left()):
                raise SendFailed(f"{self._where} does not answer within {self._timeout:g} s.")
            self._waiting.append(message)
            self._changed.notify_all()

    def _left(self) -> float:
        """Return how many seconds an answer may still take: all that wait share them."""
        now = time.monotonic()
        return (now if self._stuck_since is None else self._stuck_since) + self._timeout - now

    def _has_room(self) -> bool:
        # Once Redis is gone one message tries whether it is back, and the others fail fast.
        return len(self._waiting) < (_MOST_WAITING if self._left() > 0 else 1)

    def wait_until_sent(self) -> None:
        with self._changed:
            done = self._changed.wait_for(
                lambda: not (self._waiting or self._under_way), self._timeout
            )
            left = len(self._waiting) + self._under_way
        if not done:
            raise SendFailed(
                f"{left} messages were not taken by {self._where} within {self._timeout:g} s."
            )
        if self._first_failure is not None:
            raise SendFailed(
                f"{self._failed} messages were not taken by {self._where}: {self._first_failure}"
            ) from self._first_failure

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify_all()
        # A thread that Ctrl-C kept from being started cannot be joined, which must not hide it.
        with suppress(RuntimeError):
            self._thread.join(self._timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                batch, self._waiting = self._waiting, []
                self._under_way = len(batch)
                self._stuck_since = self._stuck_since or time.monotonic()
                self._changed.notify_all()
            failures = self._publish(batch)
            with self._changed:
                self._under_way = 0
                if len(failures) < len(batch):
                    self._stuck_since = None
                self._failed += len(failures)
                self._first_failure = self._first_failure or next(iter(failures), None)
                self._changed.notify_all()

    def _publish(self, batch: list[tuple[str, str]]) -> list[Exception]:
        """Publish in one round trip, and return an error for each message that was not taken."""
        try:
            for topic, body in batch:
                self._pipeline.publish(topic, body)
            answers = self._pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - it is told at the end of the block
            self._pipeline.reset()
            return [error] * len(batch)
        return [answer for answer in answers if isinstance(answer, Exception)]
