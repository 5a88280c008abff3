"""Who writes: the calls that wait, all of them together, or one transaction.

The tasks of an event loop queue here, and a thread carries out what they ask for. All that waits
when the thread is free is one turn, and goes to the store as one call: it has one commit. Each of
its calls stands or falls alone all the same. A transaction is a turn by itself, from its beginning
to its end, and the thread is free between its steps.

Invariants:

- The queue and the turn belong to the thread of the event loop, and no lock guards them.
- What waits is carried out or withdrawn, and never both: whichever claims it first.
- A task returns only after the commit that holds its call, or with the error of its own call.
- `_go_on` may be called at any time and any number of times. A turn is over when `over` says so,
  which the thread may set; the loop is only told to look.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from beryl_groups.aio.timers import call_later
from beryl_groups.calls import Call
from beryl_groups.errors import Busy, Closed, GroupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from beryl_groups.engine import Engine

T = TypeVar("T")
Given = TypeVarTuple("Given")


class TaskCall(Call[T]):
    """A write that a task asks for, from the moment it waits for its turn to its outcome."""

    def __init__(
        self,
        busy_timeout: float,
        work: Callable[..., T] | None,
        arguments: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(busy_timeout, work, arguments)
        self.task = asyncio.current_task(loop)
        self.woken = loop.create_future()
        self._claim = threading.Lock()
        self._begun = False

    def begin(self) -> bool:
        """Claim it for the thread, which may come back to it; False where it was withdrawn."""
        if not self._begun:
            self._begun = self._claim.acquire(blocking=False)
        return self._begun

    def withdraw(self) -> bool:
        """Have it never be carried out; False where it is or was."""
        return self._claim.acquire(blocking=False)

    def refuse(self, error: Exception) -> None:
        """Give it an error in place of its turn, unless it is withdrawn."""
        if self.withdraw():
            self.answer(error)
            self.notify()

    def notify(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


class Turn:
    """Whose turn it is to write: the calls of a batch, or a transaction, which has an owner.

    The task that owns it is inside of its block; a block that was left may still be undone.
    """

    def __init__(
        self, batch: Sequence[TaskCall[Any]], owner: asyncio.Task[Any] | None = None
    ) -> None:
        self.batch = batch
        self.owner = owner
        self.over = False


class Turns:
    """The writes of one handle, on the event loop that it was opened on."""

    def __init__(self, engine: Engine) -> None:
        self.thread = ThreadPoolExecutor(1, "beryl_groups-writes")
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._queue: deque[TaskCall[Any]] = deque()
        self._turn: Turn | None = None
        self._timer: Callable[[], None] | None = None
        self._closed = False

    async def write(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T:
        """Have an operation carried out, and return when it is committed."""
        call = self._enqueue(operation, given)
        try:
            while not call.done:
                await call.woken
        except asyncio.CancelledError:
            while not (call.withdraw() or call.done):
                call.woken = self._loop.create_future()
                with suppress(asyncio.CancelledError):
                    await call.woken
            raise
        finally:
            call.withdraw()
        return call.outcome()  # type: ignore[no-any-return]

    async def take(self) -> tuple[Turn, Call[None]]:
        """Wait for a turn alone, and return it with the call that has waited for it."""
        call: TaskCall[None] = self._enqueue(None)
        try:
            await call.woken
            if (turn := self._turn) is None or call not in turn.batch:
                call.outcome()
                raise Closed("The handle has been closed.")
        except BaseException:
            if self._turn is not None and call in self._turn.batch:
                self.end(self._turn)
            raise
        finally:
            call.withdraw()
        return turn, call

    def end(self, turn: Turn) -> None:
        """Say that a turn is over; any thread may."""
        turn.owner, turn.over = None, True
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._go_on)

    def close(self) -> Future[object] | None:
        """Refuse all that waits, and give what ends when the thread has done what it has begun.

        None where it was closed before. Any thread may call this.
        """
        begun: Future[object] | None = None
        with suppress(RuntimeError):
            begun = self.thread.submit(object)
        self._closed = True
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._go_on)
        return begun

    def refuse_beside_own(self, task: asyncio.Task[Any] | None) -> None:
        """Raise where this task would wait for itself."""
        turn = self._turn
        if turn is not None and turn.owner is not None and turn.owner is task:
            raise GroupError(
                "This task has a transaction open, and a write beside it would wait for "
                "itself: write through the object that transaction() gave, or after its block."
            )

    def _enqueue(
        self, work: Callable[..., T] | None, arguments: tuple[Any, ...] = ()
    ) -> TaskCall[T]:
        call = TaskCall(self._engine.busy_timeout, work, arguments, self._loop)
        self.refuse_beside_own(call.task)
        self._queue.append(call)
        # Not at once: the other tasks that are about to run may have something for the same turn.
        self._loop.call_soon(self._go_on)
        return call

    def _go_on(self) -> None:
        """End a turn that is over, and give the next one to those who wait the longest."""
        if self._turn is not None and self._turn.over:
            for call in self._turn.batch:
                call.notify()
            self._turn = None
        if self._closed:
            self._refuse(self._queue, Closed(self._engine.closed or ""))
            self._queue.clear()
            if self._turn is None:
                self.thread.shutdown(wait=False)
        if self._turn is None and self._queue:
            self._next_turn()
        if self._queue and self._timer is None:
            # The first to come is the first to have waited for too long.
            self._timer = call_later(self._loop, self._queue[0].time_left(), self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        by_transaction = self._turn is not None and self._turn.batch[0].work is None
        while self._queue and self._queue[0].time_left() <= 0:
            self._queue.popleft().refuse(self._engine.busy(by_transaction=by_transaction))
        self._go_on()

    def _next_turn(self) -> None:
        batch: list[TaskCall[Any]] = []
        while self._queue and not (batch and self._queue[0].work is None):
            call = self._queue.popleft()
            if call.woken.done():
                continue
            if call.work is not None:
                batch.append(call)
            elif call.begin():
                self._turn = Turn([call], call.task)
                call.notify()
                return
        if batch:
            self._turn = Turn(batch)
            try:
                self.thread.submit(self._carry_out, self._turn)
            except RuntimeError as error:
                self._turn = None
                self._refuse(batch, Closed(f"Nothing is written any more: {error}."))

    @staticmethod
    def _refuse(calls: Iterable[TaskCall[Any]], error: Exception) -> None:
        for call in calls:
            call.refuse(error)

    def _carry_out(self, turn: Turn) -> None:
        """Do all calls of a turn; this is the thread's."""
        try:
            self._carry_out_together(turn.batch)
        finally:
            self.end(turn)

    def _carry_out_together(self, batch: Sequence[TaskCall[Any]]) -> None:
        while batch:
            first = batch[0]
            try:
                self._engine.write_all(batch, first.time_left())
            except Busy as error:
                first.begin()
                first.answer(error)
                batch = batch[1:]  # the others may have some time left
                continue
            except Exception as error:  # noqa: BLE001 - it becomes the answer of a caller
                if len(batch) == 1:
                    first.begin()
                    first.answer(error)
                    return
            else:
                for each in batch:
                    each.done = True
                return
            for each in batch:
                self._carry_out_together([each])
            return
