"""Redis, through a client of redis-py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, overload

from beryl_groups.broadcast import is_async
from beryl_groups.channels.text import event_and_payload, unchanged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


class RedisClient(Protocol):
    """What is used of a ``redis.Redis``, or of a pipeline of one."""

    def publish(self, channel: str, message: str | bytes) -> Any: ...


class AsyncRedisClient(Protocol):
    """What is used of a ``redis.asyncio.Redis``."""

    def publish(self, channel: str, message: str | bytes) -> Awaitable[Any]: ...

    async def execute_command(self, *args: Any, **options: Any) -> Any: ...


@overload
def redis(
    client: AsyncRedisClient,
    *,
    topic: Callable[[str, str], str] = ...,
    body: Callable[[str, Any], str | bytes] = ...,
) -> Callable[[str, str, Any], Coroutine[Any, Any, None]]: ...
@overload
def redis(
    client: RedisClient,
    *,
    topic: Callable[[str, str], str] = ...,
    body: Callable[[str, Any], str | bytes] = ...,
) -> Callable[[str, str, Any], None]: ...
def redis(
    client: RedisClient | AsyncRedisClient,
    *,
    topic: Callable[[str, str], str] = unchanged,
    body: Callable[[str, Any], str | bytes] = event_and_payload,
) -> Callable[[str, str, Any], object]:
    """Return a callback that publishes to the topic, through a client of redis-py.

    The body is the JSON text ``{"event": …, "payload": …}``. Who wants another gives
    ``body(event, payload)``, and ``topic(topic, event)`` for another topic. A pipeline of the
    client serves as well: what is published waits there for its ``execute()``, and all goes in
    one round trip. With a client of ``redis.asyncio`` the callback is async.
    """
    to = topic

    def send(topic: str, event: str, payload: Any) -> None:
        client.publish(to(topic, event), body(event, payload))

    async def send_async(topic: str, event: str, payload: Any) -> None:
        await client.publish(to(topic, event), body(event, payload))

    # The ``publish`` of either is a plain function, of which only the result tells.
    command = getattr(client, "execute_command", None)
    return send_async if is_async(command) else send
