"""What fails in a broadcast, and what the log is told of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from beryl_groups.clock import monotonic
from beryl_groups.logs import logger
from beryl_groups.names import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOON = 5.0
"""Seconds after which a failure that repeats itself is logged before the broadcast is over."""

_MOST_TEXTS = 20
"""Failures that are told apart by what they say; an error may say something else each time."""

_FEW = 3
"""Topics that a message names; of the others it gives the number."""

_ADDRESS = re.compile("0x[0-9A-Fa-f]+")


class LoopEnded(RuntimeError):  # noqa: N818 - named as the other errors of the package are
    """The event loop that was to serve a topic has ended, and no later topic will be served."""


class _Failure:
    """A failure of one topic or of many."""

    def __init__(self, error: BaseException) -> None:
        # The traceback as it is now: an error that is raised again and again has a longer one.
        self.raised = (type(error), error, error.__traceback__)
        self.since = monotonic()
        self.first: list[str] = []
        self.number = self.logged = 0


class Failures:
    """The failures of one broadcast: each is logged once, with the topics that met it.

    Two failures are the same where the errors have the same type, were raised at the same place
    and say the same, the name of the topic and addresses of objects aside. Past twenty failures,
    what an error says no longer counts. Each is logged at the end of the block, or after five
    seconds where it goes on. What repeats one is logged at level DEBUG when it happens.
    """

    _OF = "Broadcast of the event %r of the group %s "
    _ONE = _OF + "to the topic %r failed."
    _MANY = _OF + "failed in the same way for %s topics: %s."
    _AGAIN = _OF + "went on failing, for %s topics in all (%s), as was logged before: %s"
    _ENDED = (
        _OF + "ended with the event loop of its callback: %s of %s topics did not get the event."
    )

    def __init__(self, group: str | tuple[str, ...], event: str, topics: tuple[str, ...]) -> None:
        self._group = group
        self._event = event
        self._topics = topics
        self._left_out = 0
        self._all: list[_Failure] = []
        self._known: dict[object, _Failure] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.log()

    def note(self, error: BaseException, topic: str, left: Iterator[str]) -> None:
        """Remember why a topic did not get the event, and take those that are left from theirs.

        The latter only where nobody is there any more who could serve them.
        """
        if isinstance(error, LoopEnded):
            self._left_out += len([topic, *left])
            return
        failure = self._known.get(id(error)) or self._find(error, topic)
        failure.number += 1
        if failure.number <= _FEW:
            failure.first.append(topic)
        if failure.number > 1:
            logger().debug(self._ONE, *self._given(), topic, exc_info=error)
            if not failure.logged and monotonic() - failure.since > _SOON:
                self._log(failure)

    def log(self) -> None:
        """Log what is not logged yet, and forget it all."""
        for failure in self._all:
            if failure.number > failure.logged:
                self._log(failure)
        if self._left_out:
            numbers = f"{self._left_out:,}", f"{len(self._topics):,}"
            logger().error(self._ENDED, *self._given(), *numbers)
        self._all.clear()
        self._known.clear()

    def _given(self) -> tuple[str, ...]:
        groups = [self._group] if isinstance(self._group, str) else self._group
        return self._event, ", ".join(map(repr, groups))

    def _find(self, error: BaseException, topic: str) -> _Failure:
        kind = type(error)  # by name: a class that is made in a function is another each time
        where = (kind.__module__, kind.__qualname__, _place(error))
        text = _text(error)
        aside = _ADDRESS.sub("", text.replace(topic, "\0").replace(repr(topic)[1:-1], "\0"))
        keys = [(where, text), (where, aside)]
        if len(self._all) >= _MOST_TEXTS:
            keys.append((where, ""))
        for key in keys:
            if key in self._known:
                return self._known[key]
        failure = _Failure(error)
        self._all.append(failure)
        self._known.update(dict.fromkeys([*keys, id(error)], failure))
        self._known.setdefault((where, ""), failure)
        return failure

    def _log(self, failure: _Failure) -> None:
        names = ", ".join(map(repr, failure.first))
        if failure.number > _FEW:
            names += f" and {failure.number - _FEW:,} more"
        given = self._given()
        number = f"{failure.number:,}"
        if failure.number == 1:
            logger().error(self._ONE, *given, failure.first[0], exc_info=failure.raised)
        elif not failure.logged:
            logger().error(self._MANY, *given, number, names, exc_info=failure.raised)
        else:
            logger().error(self._AGAIN, *given, number, names, shown(failure.raised[1]))
        failure.logged = failure.number


class FailuresOfWatch(Failures):
    """The failures of the callback of a watch, with the groups that the changes were of."""

    _OF = "The callback of a watch "
    _ONE = _OF + "failed at a change of the group %r."
    _MANY = _OF + "failed in the same way at %s changes, of the groups %s."
    _AGAIN = _OF + "went on failing, at %s changes in all (%s), as was logged before: %s"

    def __init__(self) -> None:
        super().__init__((), "", ())

    def _given(self) -> tuple[str, ...]:
        return ()


def _place(error: BaseException) -> tuple[object, int] | None:
    """Return the code and the line that raised it."""
    traceback = error.__traceback__
    if traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code, traceback.tb_lineno


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - it says nothing, then
        return ""
