"""Socket.IO, through a server of python-socketio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, overload

from beryl_groups.broadcast import is_async

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Server(Protocol):
    """What is used of a ``socketio.Server``."""

    def emit(self, event: str, data: Any, to: str) -> None: ...


class AsyncServer(Protocol):
    """What is used of a ``socketio.AsyncServer``."""

    async def emit(self, event: str, data: Any, to: str) -> None: ...


@overload
def socketio(server: AsyncServer) -> Callable[[str, str, Any], Coroutine[Any, Any, None]]: ...
@overload
def socketio(server: Server) -> Callable[[str, str, Any], None]: ...
def socketio(server: Server | AsyncServer) -> Callable[[str, str, Any], object]:
    """Return a callback that emits the event to the room of the topic's name.

    With a ``socketio.AsyncServer`` the callback is async; `from_async` makes it usable in other
    threads than that of the server's event loop.
    """

    def emit(topic: str, event: str, payload: Any) -> None:
        server.emit(event, payload, to=topic)

    async def emit_async(topic: str, event: str, payload: Any) -> None:
        await server.emit(event, payload, to=topic)  # type: ignore[misc]

    return emit_async if is_async(server.emit) else emit
