"""What a session is held on: a file, or a database of a server."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import beryl_groups
from beryl_groups import sqlite
from beryl_groups.sqlite.cache import MOST_BYTES
from tests.coherence import variants as of_coherence
from tests.postgresql import shared
from tests.postgresql.server import QUICK, running, sql
from tests.processes import PATIENCE
from tests.sqlite.store import store
from tests.torture import variants as of_torture

HAS_SERVER = shared.is_missing() is None
if HAS_SERVER:
    from tests.torture.linearizability import server_variants as of_servers

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from beryl_groups import Groups

Run = Callable[[str, tuple[str, ...]], list[Any]]
"""Runs a statement past the library, and returns its rows."""

_FEW_BYTES = 3000  # room for an answer or two, so that nearly every read evicts another
_ADD = (
    "INSERT OR IGNORE INTO group_topics SELECT groups.id, asked.topic FROM groups "
    "JOIN (SELECT ? AS name, ? AS topic) AS asked USING (name)"
)


@dataclass(frozen=True)
class FileGround:
    """A file, which somebody edits with the shell meanwhile."""

    database: str

    VARIANTS = of_torture.BROKEN | of_coherence.VARIANTS
    NOTICED = ("acknowledges_before_the_commit", "never_looks", "splits_transactions")
    SLOWED = tuple(of_coherence.SLOWED)
    READ = "SELECT name, topic FROM groups LEFT JOIN group_topics ON group_id = id"
    EDITS = (("edit_delete", "DELETE FROM groups WHERE name = ?"), ("edit_add", _ADD))

    @contextmanager
    def shell(self) -> Iterator[Run]:
        """Give what runs statements as the shell does: it knows nothing of foreign keys."""
        with closing(
            sqlite.driver.connect(self.database, isolation_level=None, timeout=PATIENCE)
        ) as file:
            yield lambda text, values: file.execute(text, values).fetchall()

    def tune(self, handle: Groups, choice: random.Random) -> None:
        most_bytes = choice.choice((MOST_BYTES, MOST_BYTES, _FEW_BYTES))
        store(handle).cache._most_bytes_of_a_generation = most_bytes // 2


@dataclass(frozen=True)
class ServerGround:
    """A database of a server. Nobody edits it past the library: such a one is in no order."""

    database: str

    if HAS_SERVER:
        VARIANTS = of_torture.BROKEN | of_servers.VARIANTS
        NOTICED = ("acknowledges_before_the_commit", *of_servers.BROKEN)
        SLOWED = tuple(of_servers.SLOWED)
    READ = (
        "SELECT name, topic FROM beryl_groups.groups "
        "LEFT JOIN beryl_groups.group_topics ON group_id = id"
    )
    EDITS = ()

    @contextmanager
    def shell(self) -> Iterator[Run]:
        yield lambda text, values: sql(self.database, text, values=values)

    def tune(self, handle: Groups, choice: random.Random) -> None:
        """Leave it as it is."""


Ground = FileGround | ServerGround


@contextmanager
def files() -> Iterator[Callable[[], Ground]]:
    """Give what makes a new file for each session."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(10**9))
        yield lambda: FileGround(str(Path(folder) / f"{next(numbers)}.db"))


@contextmanager
def server() -> Iterator[Callable[[], Ground]]:
    """Give what empties the database of a server for each session."""
    with running(**QUICK) as started:

        def empty() -> Ground:
            with beryl_groups.start(started.url()) as groups:
                for name in groups:
                    groups.delete(name)
            return ServerGround(started.url())

        yield empty


KINDS: dict[str, tuple[type[Ground], Callable[[], Any]]] = {
    "sqlite": (FileGround, files),
}
if HAS_SERVER:
    KINDS["postgresql"] = (ServerGround, server)
