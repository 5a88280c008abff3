"""The frames that clients of Phoenix channels understand, and those of beryl for Gleam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from beryl_groups.broadcast import is_async
from beryl_groups.channels.text import as_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


@overload
def phoenix(  # type: ignore[overload-overlap]  # an awaitable is an object, too
    send: Callable[[str, str], Coroutine[Any, Any, object]],
) -> Callable[[str, str, object], Coroutine[Any, Any, None]]: ...
@overload
def phoenix(send: Callable[[str, str], object]) -> Callable[[str, str, object], None]: ...
def phoenix(
    send: Callable[[str, str], object] | Callable[[str, str], Awaitable[object]],
) -> Callable[[str, str, object], object]:
    """Return a callback that calls ``send(topic, text)`` with a frame for the topic's sockets.

    ``text`` is the JSON text ``[null, null, topic, event, payload]``, a push of the serializer
    version 2.0.0. With an ``async def`` for ``send`` the callback is async.

    >>> push = phoenix(lambda topic, text: print(text))
    >>> push("room:lobby", "deploy_started", {"env": "prod"})
    [null, null, "room:lobby", "deploy_started", {"env": "prod"}]
    """

    def push(topic: str, event: str, payload: object) -> object:
        return send(topic, as_json([None, None, topic, event, payload]))

    async def push_async(topic: str, event: str, payload: object) -> None:
        await send(topic, as_json([None, None, topic, event, payload]))  # type: ignore[misc]

    return push_async if is_async(send) else push
