"""Redis with ``appendfsync always``: a server of our own, on a free port, in a folder."""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contender import Base

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_SECONDS_TO_START = 60


class Redis(Base):
    name = "Redis"
    promises = (
        "a call that returned survives a power cut (appendfsync always); atomic; threads and "
        "processes; a server to run, all data in memory, and no group without topics"
    )
    needs = "redis"
    first_read = (
        "import sys, redis\n"
        "client = redis.Redis(port=int(sys.argv[1]), decode_responses=True)\n"
        "frozenset(client.smembers(sys.argv[2]))\n"
        "client.close()\n"
    )

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which("redis-server") is None:
            return "redis-server is not installed"
        return super().missing()

    @classmethod
    @contextmanager
    def served(cls, folder: Path) -> Iterator[str]:
        """Run a server, and give its port."""
        with socket.socket() as taken:
            # Nobody gets the port who does not ask for it, and the server may have it all the same.
            if os.name == "posix":
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", 0))
            port = str(taken.getsockname()[1])
            options = {
                "--port": port,
                "--bind": "127.0.0.1",
                "--dir": str(folder),
                "--appendonly": "yes",
                "--appendfsync": "always",
                "--save": "",
                "--loglevel": "warning",
            }
            command = ["redis-server", *(part for option in options.items() for part in option)]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
                try:
                    _wait_for(port)
                    yield port
                finally:
                    server.terminate()

    def __init__(self, address: str) -> None:
        client: Any = importlib.import_module("redis").Redis
        self._client = client(port=int(address), decode_responses=True)

    def add(self, name: str, topic: str) -> None:
        self._client.sadd(name, topic)

    def add_many(self, name: str, topics: Sequence[str]) -> None:
        self._client.sadd(name, *topics)

    def topics(self, name: str) -> frozenset[str]:
        return frozenset(self._client.smembers(name))

    def fill(self, content: Iterable[tuple[str, list[str]]]) -> None:
        with self._client.pipeline() as pipeline:
            for name, topics in content:
                if topics:
                    pipeline.sadd(name, *topics)
            pipeline.execute()

    def close(self) -> None:
        self._client.close()


def _wait_for(port: str) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while True:
        try:
            socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
