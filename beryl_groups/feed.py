"""What one watch wants to be told, and has yet to be."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from beryl_groups.changes import difference, in_order, merge
from beryl_groups.names import after_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from beryl_groups.changes import Change, Delta, Difference
    from beryl_groups.engine import Looks, Range


class Scope:
    """The names of groups that somebody watches: these, or else all with a prefix."""

    def __init__(self, names: frozenset[str] | None, prefix: str = "") -> None:
        self.names = names
        self.prefix = prefix

    def __contains__(self, name: object) -> bool:
        if self.names is not None:
            return name in self.names
        return isinstance(name, str) and name.startswith(self.prefix)

    def ranges(self) -> set[Range]:
        """Return the same as the least name of each range and what is above all of it."""
        if self.names is None:
            return {(self.prefix, after_prefix(self.prefix))}
        return {(name, name + "\0") for name in self.names}  # nothing lies between the two


class Over(Exception):  # noqa: N818 - no error
    """Says that a watch has ended."""


class Feed:
    """What one watch has yet to be told."""

    def __init__(
        self,
        scope: Scope,
        known: Mapping[str, frozenset[str]] | None,
        interval: float,
        ring: Callable[[], None],
        forsaken: Callable[[], bool] = bool,
    ) -> None:
        self.scope = scope
        self.ranges = scope.ranges()
        self.interval = interval
        self.begun = self.ended = False
        self.error: Exception | None = None
        self.thread: threading.Thread | None = None
        self.forsaken = forsaken
        """Whether nobody can take anything any more."""
        self._known = known
        self._ring = ring
        self._lock = threading.RLock()
        # In one place, for an interrupt may come between any two.
        self._left: tuple[dict[Hashable, Delta], deque[Change]] = ({}, deque())

    def begin(self, looks: Looks) -> None:
        """Have the first told be the difference from what is known to what was seen last."""
        if self._known is not None:
            first = difference(self._known, looks.held(self.scope))
            self._left = (first, deque())
            self._known = None
        self.begun = True
        self._ring()

    def put(self, later: Difference) -> None:
        with self._lock:
            merge(self._left[0], later, self.scope)
            if self._left[0]:
                self._ring()

    def take(self) -> Change | None:
        """Return the next change, None where there is none for now; raise where none will come."""
        with self._lock:
            pending, changes = self._left
            if self.ended and self.error is None:
                self._ring()  # for the next one who waits
                raise Over
            if pending and not changes:
                changes = deque(in_order(pending.values()))
                self._left = ({}, changes)
            if changes:
                return changes.popleft()
            if self.error is not None:
                self._ring()
                raise self.error
            return None

    def serve(self, thread: threading.Thread) -> None:
        """Start a thread that takes what is to be told; it is waited for when this ends."""
        self.thread = thread
        thread.start()

    def end(self, error: Exception | None = None) -> None:
        """Have nothing told any more; the error is for who waits for it."""
        if not self.ended:
            self.error, self.ended = error, True
        self._ring()
