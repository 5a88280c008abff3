"""A connection to Redis for the length of a block."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from beryl_groups.channels.errors import SendFailed, ended
from beryl_groups.channels.text import event_and_payload
from beryl_groups.channels.time_limit import A_MOMENT, LimitedCondition
from beryl_groups.lines import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

    from redis import Redis

_DATABASE = re.compile("(/[0-9]{0,10})?")

_MOST_WAITING = 1000
"""Messages that may wait for the round trip before them to end, and then share the next."""

_MOST_AT_ONCE = 100
"""Messages of a round trip: a slow Redis is seen to get on with every one of them."""


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
    session = _Session(client, where, timeout)
    try:
        session.open()
        yield session.send
        session.wait_until_sent()
    finally:
        session.close()


class _Session:
    """What waits to be published, and a thread that publishes many of it in one round trip.

    Whoever sends need not wait for the round trip, and the first message need not wait for
    more: that is why it is a thread and not a pipeline that the caller fills. It also ends the
    waits: the client's own timeout counts from each byte that comes.
    """

    def __init__(self, client: Redis, where: str, timeout: float) -> None:
        self._client = client
        self._pipeline = client.pipeline(transaction=False)
        self._where = where
        self._unanswered = f"it does not answer within {timeout:g} s"
        self._timeout = timeout
        self._changed = LimitedCondition(timeout)
        self._is_open = False
        self._waiting: list[tuple[str, str]] = []
        self._room = _MOST_WAITING
        self._under_way = 0
        self._failed = 0
        self._first_failure: Exception | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="beryl_groups-redis", daemon=True)

    def open(self) -> None:
        self._thread.start()
        with self._changed:
            self._changed.wait_within_limit(lambda: self._is_open or self._first_failure)
            if not self._is_open:
                reason = self._reason(self._first_failure)
                raise SendFailed(
                    f"{self._where} cannot be used: {reason}."
                ) from self._first_failure

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
            missing = self._failed + len(self._waiting) + self._under_way
            failure = self._first_failure
            self._ended = done  # at once: a call from another thread must not slip in
        if missing:
            sentence = f"{missing} messages were not taken by {self._where}"
            if not done:
                sentence += f" within {self._timeout:g} s"
            if failure is not None:
                sentence += f": {self._reason(failure)}"
            raise SendFailed(f"{sentence}.") from failure

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
        try:
            self._client.ping()
        except Exception as error:  # noqa: BLE001 - whatever the answer of another server leads to
            with self._changed:
                self._first_failure = error
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
                self._under_way = len(batch)
                self._changed.notify_all()
            answers, is_answered = self._publish(batch)
            failures = [answer for answer in answers if isinstance(answer, Exception)]
            with self._changed:
                self._under_way = 0
                # Once Redis is gone one message tries whether it is back; the others fail fast.
                self._room = _MOST_WAITING if is_answered else 1
                if is_answered:
                    self._changed.renew_limit()
                self._failed += len(failures)
                self._first_failure = self._first_failure or next(iter(failures), None)
                self._changed.notify_all()

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

        if error is None or isinstance(error, NoAnswer):
            return self._unanswered
        return reason_of(error)
