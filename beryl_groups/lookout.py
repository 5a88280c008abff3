"""The one who looks at the database for all watches of a handle.

One thread does, and it alone: no signal is heard in it, so what it has seen reaches all watches or
none. It waits for the engine to tell that something may have changed, and hands the difference to
the last look to each watch, which keeps it until it is taken: merged with what has not been yet.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from typing import TYPE_CHECKING

from beryl_groups.bell import Bell
from beryl_groups.clock import monotonic, thread_time
from beryl_groups.errors import Busy, Closed, GroupError
from beryl_groups.logs import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from beryl_groups.changes import Change
    from beryl_groups.engine import Engine, Looks
    from beryl_groups.feed import Feed

_SHARE = 20
"""A look is taken only every so many times as long as looks keep a processor busy."""

_SLACK = 0.1
"""Seconds by which looks may be taken sooner, where there were none for a while: who writes
without a pause is told of once for each interval, and who seldom writes at once."""

PATIENCE = 5.0
"""Seconds to wait for a thread that is to end, and may be in a callback."""


class Lookout:
    """The thread that looks, for as long as there is a watch to look for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lock = threading.RLock()
        self._feeds: list[Feed] = []
        self._summons = Bell()
        self._looks: Looks | None = None
        self._thread: threading.Thread | None = None
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        _lookouts.add(self)

    def add(self, feed: Feed) -> None:
        """Look for one more; its bell rings when the first look for it has been taken."""
        self.engine.refuse_if_closed()
        with self._lock:
            self._feeds.append(feed)
            try:
                if self._looks is None:
                    self._start()
            except BaseException:
                self._feeds.remove(feed)
                raise
        self._summon()

    def take(self, feed: Feed) -> Change | None:
        """Do what ``feed.take`` does, but in a process that was forked, where nobody feeds it."""
        if self.engine.abandoned:
            self.engine.refuse_if_closed()
        return feed.take()

    def end(self, *feeds: Feed) -> None:
        """Look for these no longer, or for nobody any more; a finalizer may call it."""
        if not self.engine.abandoned:
            for feed in feeds or list(self._feeds):
                feed.end()
            self._summon()

    def close(self, *feeds: Feed) -> None:
        """Do what `end` does, and wait for the end of the threads that are needless then."""
        if self.engine.abandoned:
            return
        with self._lock:
            ended = feeds or list(self._feeds)
            self.end(*ended)
            if all(feed.ended for feed in self._feeds):
                if self._looks is not None:
                    self._looks.interrupt()
                self._looks = self._thread = None  # who comes next has another
            # The others look for nobody any more, but may not have let go of the database yet.
            looking = [thread for thread in self._threads if thread is not self._thread]
            needless = [feed.thread for feed in ended] + looking
        deadline = monotonic() + PATIENCE
        for thread in needless:
            # What has no number was not started, for Ctrl-C came first.
            if thread and thread.ident and thread is not threading.current_thread():
                thread.join(max(deadline - monotonic(), 0))

    def _start(self) -> None:
        looks = self.engine.watching()
        self._thread = threading.Thread(
            target=self._run, args=(looks,), name="beryl_groups-watch", daemon=True
        )
        self._looks = looks
        self._threads.add(self._thread)
        try:
            self._thread.start()
        except BaseException:
            self._looks = self._thread = None  # where it runs all the same, it ends at once
            raise

    def _summon(self) -> None:
        self._summons.ring()
        looks = self._looks
        if looks is not None:
            looks.wake()

    def _run(self, looks: Looks) -> None:
        pace = Pace(self.engine.busy_timeout)
        error: Exception | None = None
        try:
            while feeds := self._feeds_of(looks):
                if pace.failing or all(feed.begun for feed in feeds):
                    if (pause := pace.pause()) > 0:
                        self._summons.wait(pause)
                        continue
                    looks.wait(min(feed.interval for feed in feeds))
                    feeds = self._feeds_of(looks)
                pace.look(looks, feeds)
        except Closed:
            pass
        except Exception as caught:  # noqa: BLE001 - each watch is told
            error = caught
        finally:
            for feed in self._feeds_of(looks, last=True):
                feed.end(error)
            looks.close()

    def _feeds_of(self, looks: Looks, *, last: bool = False) -> tuple[Feed, ...]:
        """Return what is to be looked for in this thread; it is to end where that is nothing."""
        with self._lock:
            if self._looks is not looks:
                return ()
            self._feeds = [feed for feed in self._feeds if not (feed.ended or feed.forsaken())]
            feeds = tuple(self._feeds)  # who joins now is for the next look, or another thread
            if last or not feeds:
                self._looks = self._thread = None
                self._feeds = []
            return feeds


class Pace:
    """When to look, and what to do with what was seen or went wrong."""

    def __init__(self, busy_timeout: float) -> None:
        self._busy_timeout = busy_timeout
        self._not_before = 0.0
        self._failing_since: float | None = None
        self._logged = False

    @property
    def failing(self) -> bool:
        return self._failing_since is not None

    def pause(self) -> float:
        """Return for how many seconds no look is to be taken yet."""
        return self._not_before - monotonic()

    def look(self, looks: Looks, feeds: Sequence[Feed]) -> None:
        begin, before = monotonic(), thread_time()
        joining = [feed for feed in feeds if not feed.begun]
        try:
            seen = looks.look(set().union(*[feed.ranges for feed in feeds]))
            for feed in feeds:
                if feed.begun:
                    feed.put(seen)
            for feed in joining:  # after the others, for it may fail
                feed.begin(looks)
        except Closed:
            raise
        except GroupError as error:
            if looks.lost:
                raise
            if not all(feed.ended for feed in feeds):  # or else a look for nobody was cut short
                self._fail(error, joining)
        else:
            self._failing_since, self._logged = None, False
        if not joining:  # who begins to watch has asked for that look
            since = max(self._not_before, begin - _SLACK)
            interval = min((feed.interval for feed in feeds), default=0.0)
            used = max(thread_time() - before, looks.elsewhere)
            self._not_before = since + max(_SHARE * used, interval)

    def _fail(self, error: GroupError, joining: list[Feed]) -> None:
        now = monotonic()
        self._failing_since = self._failing_since or now
        if isinstance(error, Busy) and now - self._failing_since < self._busy_timeout:
            return
        for feed in joining:
            feed.end(error)
        if not self._logged and not joining:
            self._logged = True
            logger().error("A watch cannot read, and tries again: %s", error, exc_info=error)


_lookouts: weakref.WeakSet[Lookout] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Leave no thread for the end of the interpreter to cut short."""
    for lookout in list(_lookouts):
        lookout.close()
