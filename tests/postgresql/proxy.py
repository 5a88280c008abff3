"""A proxy in front of a server, for what a network does: it delays, goes silent and is cut."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Self

from tests.postgresql.server import HOST

if TYPE_CHECKING:
    from types import TracebackType

_NO_LINGER = struct.pack("ii", 1, 0)  # what is closed is reset, and nothing of it is sent any more
_CHUNK = 65536

Moment = Literal["before", "after"]


class Proxy:
    """Listens on a port of its own, and passes on what it is sent."""

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        self.delay = delay
        """Seconds by which each message comes later, on the way there and on the way back."""
        self.cuts = 0
        """How often a text was met that `cut_at` names."""
        self._target = port
        self._needle: bytes | None = None
        self._moment: Moment = "before"
        self._later = 0
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._passing = threading.Event()
        self._passing.set()
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = True
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """Return the URL of a database that leads through this proxy."""
        return url.replace(f":{self._target}/", f":{self.port}/")

    def cut_at(self, text: str, moment: Moment, later: int = 0) -> None:
        """Cut a connection when its client sends this, or so many messages later, once.

        Before it reaches the server; or after the server has answered it, so that it has happened,
        but before the client gets the answer.
        """
        with self._lock:
            self._needle, self._moment, self._later = text.encode(), moment, later

    def cut(self) -> None:
        """Reset all connections, on both sides."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _reset(*pair)

    def refuse(self) -> None:
        """Reset all connections, those too that are made from now on, until `accept`."""
        self._accepting = False
        self.cut()

    def accept(self) -> None:
        self._accepting = True

    def fall_silent(self) -> None:
        """Keep the connections and pass nothing on, as a network does that swallows all."""
        self._passing.clear()

    def speak_again(self) -> None:
        self._passing.set()

    def close(self) -> None:
        self._passing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._accepting:
                _reset(client)
                continue
            try:
                server = socket.create_connection((HOST, self._target))
            except OSError:
                _reset(client)
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((client, server))
            doomed = threading.Event()
            for way in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass, args=(*way, doomed, way[0] is client), daemon=True
                ).start()

    def _pass(
        self, source: socket.socket, sink: socket.socket, doomed: threading.Event, there: bool
    ) -> None:
        """Pass on what comes from one side until it ends, or until it has to be cut."""
        left: int | None = None  # messages to what is to be cut, once the text was met
        try:
            while data := source.recv(_CHUNK):
                self._passing.wait()
                if doomed.is_set() and not there:
                    break  # the answer to what was to be cut
                if there and left is None and self._is_met(data):
                    left = self._later
                elif left is not None:
                    left -= 1
                if left == 0:
                    self.cuts += 1
                    if self._moment == "before":
                        break
                    doomed.set()
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(data)
            else:
                with suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        _reset(source, sink)

    def _is_met(self, data: bytes) -> bool:
        with self._lock:
            met = self._needle is not None and self._needle in data
            if met:
                self._needle = None
            return met


def _reset(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            each.close()
