"""Rounds of clients that write, and of what happens to them and their server."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import beryl_groups
from tests.postgresql.proxy import Proxy
from tests.postgresql.server import Server, running, sql
from tests.processes import PATIENCE, context, start
from tests.torture.postgresql import client

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_CLIENTS = 2
_MESSAGES_OF_A_TRANSACTION = 4
"""From the first that names a group to the one that says COMMIT, which names nothing."""


@dataclass
class Figures:
    """What was done, and what was wrong."""

    done: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.done.total():,} interruptions, {len(self.faults)} faults"


class Client:
    """A process that writes, and what it has told of its groups."""

    def __init__(
        self, server: Server, proxy: Proxy, models: dict[str, Any], seed: int, broken: str | None
    ) -> None:
        self.name = f"client-{seed}"
        self.models = models
        self.under_way: dict[str, Any] = {}
        self.faults: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.calls = 0
        self.pipe: Connection
        self.pipe, there = context.Pipe()
        straight = server.url()
        self.process: BaseProcess = start(
            client.main, proxy.url(straight), straight, self.name, models, seed, there, broken
        )
        there.close()

    def listen(self, seconds: float) -> bool:
        """Hear what it has to tell; False once it has ended."""
        deadline = time.monotonic() + seconds
        try:
            while self.pipe.poll(max(0.0, deadline - time.monotonic())):
                kind, owner, told = self.pipe.recv()
                if kind == "call":
                    self.under_way[owner] = told
                elif kind == "done":
                    self.models[owner] = told
                    self.calls += 1
                    self.under_way.pop(owner, None)
                elif kind == "outcomes":
                    self.outcomes += told
                elif kind == "fault":
                    self.faults.append(f"{owner}: {told}")
                else:
                    return False
        except EOFError:
            return False
        return True

    def stop(self) -> None:
        """Have it end when its calls have."""
        self.pipe.send("stop")
        deadline = time.monotonic() + PATIENCE
        while self.listen(1.0):
            if time.monotonic() > deadline:
                self.faults.append("it did not end")
                self.process.kill()
        self.process.join(PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        while self.listen(PATIENCE):
            pass
        self.process.join(PATIENCE)


class Round:
    """A server behind a proxy, and the clients that use it."""

    def __init__(self, server: Server, proxy: Proxy, seed: int, broken: str | None) -> None:
        self.server, self.proxy, self.broken = server, proxy, broken
        self.chance = random.Random(seed)
        self.figures = Figures()
        self.clients = [
            self._client({f"{number}-{thread}:": {} for thread in range(client.THREADS)})
            for number in range(_CLIENTS)
        ]
        self.ways: dict[str, Callable[[], None]] = {
            "server crashed": self._crash,
            "server stopped": self._stop,
            "client killed": self._kill,
            "connections cut": self.proxy.cut,
            "connections ended by the server": self._end,
            "cut before it arrived": lambda: self._cut_at("before"),
            "cut before the answer": lambda: self._cut_at("after"),
        }

    def _client(self, models: dict[str, Any]) -> Client:
        return Client(self.server, self.proxy, models, self.chance.randrange(10**9), self.broken)

    def interrupt(self) -> None:
        """Let the clients write for a moment, and do something to them."""
        deadline = time.monotonic() + self.chance.uniform(0.02, 0.3)
        while (left := deadline - time.monotonic()) > 0:
            for each in self.clients:
                each.listen(left / len(self.clients))
        way = self.chance.choice(sorted(self.ways))
        self.ways[way]()
        self.figures.done[way] += 1

    def _crash(self) -> None:
        self.server.stop(immediate=True)
        self.server.start()

    def _stop(self) -> None:
        self.server.stop()
        self.server.start()

    def _kill(self) -> None:
        number = self.chance.randrange(len(self.clients))
        killed = self.clients[number]
        killed.kill()
        self._collect(killed)
        client.settle(self.server.url(), killed.name, None)
        with beryl_groups.start(self.server.url()) as groups:
            models = {owner: self._judge(groups, killed, owner) for owner in killed.models}
        self.clients[number] = self._client(models)

    def _end(self) -> None:
        sql(
            self.server.url(),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )

    def _cut_at(self, moment: Any) -> None:
        before = self.proxy.cuts
        # Each call of a thread names a group of its own.
        of = self.chance.choice([owner for each in self.clients for owner in each.models])
        self.proxy.cut_at(of, moment, self.chance.randrange(_MESSAGES_OF_A_TRANSACTION))
        deadline = time.monotonic() + 1.0
        while self.proxy.cuts == before and time.monotonic() < deadline:
            for each in self.clients:
                each.listen(0.01)

    def _judge(self, groups: beryl_groups.Groups, of: Client, owner: str) -> Any:
        found = client.read(groups, owner)
        possible = [of.models[owner]]
        if owner in of.under_way:
            possible.append(of.under_way[owner])
        if found not in possible:
            self.figures.faults.append(f"{owner} does not hold what was acknowledged")
        return found

    def _collect(self, ended: Client) -> None:
        self.figures.faults += ended.faults
        self.figures.outcomes += ended.outcomes
        self.figures.calls += ended.calls

    def end(self) -> Figures:
        for each in self.clients:
            each.stop()
            self._collect(each)
        with beryl_groups.start(self.server.url()) as groups:
            for each in self.clients:
                for owner in each.models:
                    self._judge(groups, each, owner)
            self.figures.faults += groups.check()
        return self.figures


def run(seed: int, interruptions: int, broken: str | None = None) -> Figures:
    """Interrupt so often, or until something is wrong."""
    with running() as server, Proxy(server.port) as proxy:
        played = Round(server, proxy, seed, broken)
        for _ in range(interruptions):
            played.interrupt()
            if played.figures.faults or any(each.faults for each in played.clients):
                break
        return played.end()
