"""A chat whose rooms outlive it: ``python tests/examples/rooms.py [DATABASE [PORT]]``.

Needs python-socketio and uvicorn. Open ``http://127.0.0.1:PORT/#NAME`` in several browsers, and
kill the program and start it again: everybody is back in their rooms. A room is a group, and its
topics are the people in it, so the command line can put somebody into a room:
``beryl-groups add DATABASE ROOM NAME``.

In Socket.IO itself each person has a room of their own, with all their browsers in it: to broadcast
to a group reaches each of its members once, be they connected here or not at all.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import socketio
import uvicorn

from beryl_groups import aio, channels

if TYPE_CHECKING:
    from beryl_groups import Change
    from beryl_groups.aio import AsyncGroups

PAGE = Path(__file__).with_name("rooms.html")


class Chat:
    """What the browsers ask for, and what they are told."""

    def __init__(self, server: socketio.AsyncServer, groups: AsyncGroups) -> None:
        self.server = server
        self.groups = groups
        self.members: dict[str, set[str]] = {}
        for name in ("connect", "join", "leave", "say"):
            server.on(name, getattr(self, name))

    async def connect(self, sid: str, _environment: object, auth: dict[str, str]) -> None:
        """Put somebody back into their rooms, whenever and wherever they joined them."""
        name = auth["name"]
        await self.server.save_session(sid, name)
        await self.server.enter_room(sid, name)
        for room in await self.groups.groups_of(name):
            await self.server.emit("members", [room, sorted(self.members.get(room, []))], to=sid)

    async def join(self, sid: str, room: str) -> None:
        await self.groups.add(room, await self.name(sid), create=True)

    async def leave(self, sid: str, room: str) -> None:
        await self.groups.remove(room, await self.name(sid))

    async def say(self, sid: str, room: str, text: str) -> None:
        said = {"room": room, "name": await self.name(sid), "text": text}
        await self.groups.broadcast(channels.socketio(self.server), room, "said", said)

    async def name(self, sid: str) -> str:
        return str(await self.server.get_session(sid))

    async def show(self, change: Change) -> None:
        """Tell those who are in a room, and those who were, who is in it now."""
        if change.old_name is not None:
            self.members[change.group] = members = self.members.pop(change.old_name)
            await self.tell(change.old_name, members, set())
            await self.tell(change.group, members, members)
            return
        before = self.members.get(change.group, set())
        if change.kind in ("removed", "deleted"):
            now = before - change.topics
        else:
            now = before | change.topics
        self.members[change.group] = now
        if change.kind == "deleted":
            del self.members[change.group]
        await self.tell(change.group, before | now, now)

    async def tell(self, room: str, whom: set[str], members: set[str]) -> None:
        for name in whom:
            await self.server.emit("members", [room, sorted(members)], to=name)


async def main(database: str, port: int) -> None:
    server = socketio.AsyncServer(async_mode="asgi")
    application = socketio.ASGIApp(server, static_files={"/": str(PAGE)})
    async with aio.start(database) as groups:
        chat = Chat(server, groups)
        async with groups.watch(chat.show, known={}):
            with socket.create_server(("127.0.0.1", port)) as listening:
                print(f"http://127.0.0.1:{listening.getsockname()[1]}/#ada", flush=True)
                config = uvicorn.Config(application, log_level="warning")
                await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    given: list[Any] = [*sys.argv[1:], *["rooms.db", "0"][len(sys.argv) - 1 :]]
    asyncio.run(main(given[0], int(given[1])))
