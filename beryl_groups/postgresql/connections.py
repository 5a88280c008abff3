"""One connection to the server, as operations use it.

psycopg opens it; what is said on it goes through libpq, of which psycopg has the whole: the
statements of a call are sent together and answered together, so a call is one round trip, and
nothing stands between that costs as much as the call itself.

Where the server itself is at the other end, a statement is prepared the first time it is sent.
A pooler gives each transaction to another connection of the server, where it would not be known.
"""

from __future__ import annotations

import itertools
import os
import select
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
from psycopg.adapt import Loader, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.types.bool import BoolLoader
from psycopg.types.numeric import IntDumper, IntLoader
from psycopg.types.string import StrDumper, TextLoader
from psycopg.waiting import Ready, Wait

from beryl_groups import statements
from beryl_groups.postgresql import SCHEMA
from beryl_groups.postgresql.texts import SQL, parameter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from psycopg.pq.abc import PGconn, PGresult
    from sqlalchemy.sql.expression import Executable


Step = tuple["Executable | str", tuple[object, ...]]
"""A statement and its values."""

MANY = 10_000
"""So many values go with one statement, and so many rows are held while others are read."""

_MANY_ROWS: dict[Executable, str] = {
    statements.ADD: (
        f"INSERT INTO {SCHEMA}.group_topics (group_id, topic) "  # noqa: S608 - a constant
        "SELECT * FROM unnest($1::bigint[], $2::text[]) ON CONFLICT DO NOTHING"
    ),
    statements.REMOVE: (
        f"DELETE FROM {SCHEMA}.group_topics USING unnest($1::bigint[], $2::text[]) AS gone (g, t) "  # noqa: S608
        "WHERE group_id = gone.g AND topic = gone.t"
    ),
}

_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_DECLARE = "DECLARE beryl_groups_stream NO SCROLL CURSOR FOR "
_FETCH = f"FETCH {MANY} FROM beryl_groups_stream"
_CLOSE = "CLOSE beryl_groups_stream"

_numbers = itertools.count(1)

# Looked up once, for to look a member of an enumeration up takes its time.
_BROKEN, _IDLE = ConnStatus.BAD, TransactionStatus.IDLE
_DONE, _FAILED, _SYNC = ExecStatus.COMMAND_OK, ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_SYNC
_READABLE, _EITHER = Wait.R, Wait.RW

_LOADERS: dict[str, type[Loader]] = {
    "bool": BoolLoader,
    "int4": IntLoader,
    "int8": IntLoader,
    "name": TextLoader,
    "oid": IntLoader,
    "text": TextLoader,
    "varchar": TextLoader,
}


UNPREPARED = frozenset({"26000", "42P05"})
"""What the server says where a statement that was prepared is not, or is already."""


class LostError(Exception):
    """The connection broke before all statements were answered.

    `failed` is which of them the server itself refused when it ended the connection, and then no
    later one has been carried out. None where the server said nothing: each may have been.
    """

    def __init__(self, said: str, failed: int | None, cause: BaseException | None = None) -> None:
        super().__init__(said)
        self.failed = failed
        self.__cause__ = cause


class Connection:
    """A connection that belongs to whoever has it, in autocommit until a step says BEGIN."""

    driver: psycopg.Connection[Any] | None = None
    pgconn: PGconn
    is_open = False
    is_direct = False
    """Whether it is the server itself that answers, which remembers what it was told."""

    def open(self, options: dict[str, Any], settings: Step) -> None:
        """Connect, and tell the server what holds for this connection."""
        self._process = os.getpid()
        self.driver = driver = psycopg.connect(**options, autocommit=True, prepare_threshold=None)
        use_own_adapters(driver)
        self.pgconn, self._wait = driver.pgconn, driver.wait
        self.pgconn.enter_pipeline_mode()
        self._transformer = Transformer(driver)
        self._names: dict[bytes, bytes] = {}
        # Windows has no poll, and elsewhere select knows no more than 1,024 files.
        self._poll: Any = None
        if sys.platform != "win32":
            self._poll = select.poll()
            self._poll.register(driver, select.POLLIN)
        ((pid,),) = self.rows("SELECT pg_backend_pid()")
        if pid == self.pgconn.backend_pid:  # a pooler gives a number of its own
            self.run(settings)
            self.is_direct = True
        self.is_open = True

    def run(self, *steps: Step) -> list[PGresult]:
        """Send the steps together, and return what each gave; the first that fails is raised.

        Those after it have not been carried out then. Steps that say nothing of a transaction are
        one, which is committed when this returns. Where the connection breaks, `LostError`.
        """
        new: list[tuple[int, bytes, bytes]] = []
        answers: list[PGresult] = []
        asked = False
        try:
            self._send(steps, new)
            asked = True
            self.pgconn.pipeline_sync()
            to_the_end = self._wait(_until_sync(self.pgconn, answers))
        except psycopg.OperationalError as error:
            raise LostError(str(error), None if asked else 0, error) from None
        for place, text, name in reversed(new):
            if place < len(answers) and answers[place].status == _DONE:
                self._names[text] = name
                del answers[place]
        for place, answer in enumerate(answers):
            if answer.status == _FAILED:
                # What is answered beyond the steps is that the commit of all has failed.
                self._refuse(answer, place if place < len(steps) else None, is_new=bool(new))
        if not to_the_end:
            raise LostError("the server closed the connection", None)
        return answers

    def rows(self, statement: Executable | str, *values: object) -> list[tuple[Any, ...]]:
        return self.rows_of(self.run((statement, values))[0])

    def rows_of(self, result: PGresult) -> list[tuple[Any, ...]]:
        """Return the rows of a result as values of Python."""
        transformer = self._transformer
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    def stream(self, statement: Executable | str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Give the rows, as of one moment, of which few are held at a time."""
        with self.moment():
            self.run((_DECLARE + SQL[statement].decode(), values))
            while rows := self.rows(_FETCH):
                yield from rows
            self.run((_CLOSE, ()))

    def count(self, statement: Executable | str, *values: object) -> int:
        return self.run((statement, values))[0].command_tuples or 0

    def run_many(self, statement: Executable, rows: Sequence[tuple[object, ...]]) -> None:
        many = _MANY_ROWS[statement]
        for start in range(0, len(rows), MANY):
            ids, topics = zip(*rows[start : start + MANY], strict=True)
            self.run((many, ([str(each) for each in ids], topics)))

    def texts(self, names: list[Any]) -> list[str]:
        return names  # the server lets nothing but UTF-8 be stored

    @contextmanager
    def moment(self) -> Iterator[None]:
        if self.in_transaction:
            yield
            return
        self.run((_READ, ()))
        try:
            yield
        finally:
            self.roll_back()

    @contextmanager
    def plain(self) -> Iterator[psycopg.Connection[Any]]:
        """Give the connection as psycopg has it: no COPY goes through a pipeline."""
        if self.driver is None:
            raise LostError("the connection is closed", 0)
        self.pgconn.exit_pipeline_mode()
        yield self.driver
        # Not where it raised: who meets an error here has no more use for the connection.
        self.pgconn.enter_pipeline_mode()

    @property
    def in_transaction(self) -> bool:
        return self.pgconn.transaction_status != _IDLE

    @property
    def has_failed(self) -> bool:
        """Whether the server has refused a statement of the transaction that is open."""
        return self.pgconn.transaction_status == TransactionStatus.INERROR

    def is_at_rest(self) -> bool:
        """Tell whether it is good for another call: nothing is under way on it, nor has failed."""
        return self.pgconn.transaction_status == _IDLE

    def roll_back(self) -> bool:
        """Undo what is open; tell whether the connection is at rest then."""
        if self.pgconn.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            with suppress(psycopg.Error, LostError):
                self.run(("ROLLBACK", ()))
        return self.is_at_rest()

    def is_stale(self) -> bool:
        """Tell whether the server has said something unasked, as it does when it ends."""
        if self.pgconn.status == ConnStatus.BAD:
            return True  # and the number of its socket may be that of another by now
        if self._poll is not None:
            return bool(self._poll.poll(0))
        return bool(select.select([self.pgconn.socket], [], [], 0)[0])

    def close(self) -> None:
        self.is_open = False
        if self.driver is not None:
            self.driver.close()

    def __del__(self) -> None:
        # Lost by an interrupt; or the process ends, and may have inherited it from its parent.
        if self.driver is not None and os.getpid() == self._process:
            self.driver.close()

    def _send(self, steps: tuple[Step, ...], new: list[tuple[int, bytes, bytes]]) -> None:
        pgconn, names = self.pgconn, self._names
        for place, (statement, values) in enumerate(steps):
            text = SQL[statement]
            given = [parameter(value) for value in values]
            if not self.is_direct:
                pgconn.send_query_params(text, given)
                continue
            name = names.get(text)
            if name is None:
                name = b"beryl_groups_%d" % next(_numbers)
                pgconn.send_prepare(name, text)
                new.append((place + len(new), text, name))
            pgconn.send_query_prepared(name, given)

    def _refuse(self, answer: PGresult, place: int | None, *, is_new: bool) -> NoReturn:
        refusal = psycopg.errors.error_from_result(answer)
        if self.pgconn.status == _BROKEN:
            raise LostError(str(refusal), place if refusal.sqlstate else None, refusal)
        if refusal.sqlstate in UNPREPARED:
            self.is_direct = False  # so it seemed, but somebody stands between
        if refusal.sqlstate == "0A000" and self._names and not is_new:
            # A table was altered since, and a plan of before gives rows of another kind.
            self._names.clear()
            raise psycopg.errors.InvalidSqlStatementName(str(refusal)) from refusal
        raise refusal


def use_own_adapters(driver: psycopg.Connection[Any]) -> None:
    """Have values be what they are, whatever a host program has registered with psycopg."""
    for name, loader in _LOADERS.items():
        driver.adapters.register_loader(name, loader)
    driver.adapters.register_dumper(str, StrDumper)
    driver.adapters.register_dumper(int, IntDumper)


def _until_sync(pgconn: PGconn, results: list[PGresult]) -> Generator[Wait, Ready | int, bool]:
    """Send what has not been sent yet, and read all answers; tell whether the last has come."""
    while pgconn.flush():
        if (yield _EITHER) & Ready.R:
            pgconn.consume_input()  # or both sides would wait for the other to read
    while True:
        while pgconn.is_busy():
            yield _READABLE
            with suppress(psycopg.OperationalError):  # what has come until then is read first
                pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            if pgconn.status == _BROKEN:
                return False
        elif result.status == _SYNC:
            return True
        else:
            results.append(result)
