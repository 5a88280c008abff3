"""The calls that a handle and a transaction share, with the checks of what they are given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from beryl_groups import operations
from beryl_groups.broadcast import Audience, check_callback, refuse_async
from beryl_groups.errors import InvalidName
from beryl_groups.handle import Handle
from beryl_groups.names import check_name, check_names, check_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


T = TypeVar("T")
Given = TypeVarTuple("Given")


class GroupMethods(Handle, ABC):
    """Named sets of topics, and broadcasts to them.

    Names of groups and topics are plain strings, compared code point by code point. Every call
    checks the names it is given: one that is no ``str`` raises ``TypeError``; one that is empty,
    holds a NUL character or an unpaired surrogate, or has more than 1,024 bytes in UTF-8 raises
    `InvalidName`. A call that raises has stored nothing.
    """

    @abstractmethod
    def _read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T: ...

    @abstractmethod
    def _write(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T: ...

    @abstractmethod
    def _deliver(
        self,
        channels: Callable[[str, str, Any], object],
        group: str | tuple[str, ...],
        topics: tuple[str, ...],
        event: str,
        payload: object,
    ) -> None: ...

    def create(self, name: str, *, exist_ok: bool = False) -> None:
        """Create a group without topics.

        Raises `AlreadyExists` where there is a group of that name. With ``exist_ok`` that is no
        error, and the group keeps its topics.

        >>> groups.create("team:design")
        >>> groups.topics("team:design")
        frozenset()
        >>> groups.create("team:design", exist_ok=True)
        """
        self._write(operations.create, check_name(name), exist_ok)

    def delete(self, name: str, *, missing_ok: bool = False) -> None:
        """Delete a group, and with it what it says of its topics.

        Raises `NotFound` where there is no such group, which is no error with ``missing_ok``.

        >>> groups.create("short-lived")
        >>> groups.delete("short-lived")
        >>> "short-lived" in groups
        False
        >>> groups.delete("short-lived", missing_ok=True)
        """
        self._write(operations.delete, check_name(name), missing_ok)

    def rename(self, name: str, new_name: str) -> None:
        """Give a group another name; it keeps its topics.

        Raises `NotFound` where there is no such group, and `AlreadyExists` where there is a
        group of the new name, even if it is this one.

        >>> groups.create("team:ops")
        >>> groups.rename("team:ops", "team:operations")
        >>> "team:ops" in groups, "team:operations" in groups
        (False, True)
        """
        self._write(operations.rename, check_name(name), check_name(new_name))

    def add(self, name: str, *topics: str, create: bool = False) -> None:
        """Add topics to a group: all of them or, where it raises, none.

        A topic that is there already is no error. Raises `NotFound` where there is no such group;
        with ``create`` the group is created then.

        >>> groups.create("team:web")
        >>> groups.add("team:web", "room:frontend", "room:css")
        >>> sorted(groups.topics("team:web"))
        ['room:css', 'room:frontend']
        >>> groups.add("team:new", "room:desk", create=True)
        """
        operation = operations.create_and_add if create else operations.add
        self._write(operation, check_name(name), check_names(topics))

    def remove(self, name: str, *topics: str) -> None:
        """Remove topics from a group: all of them or, where it raises, none.

        A topic that is not there is no error. Raises `NotFound` where there is no such group.

        >>> groups.create("team:mobile")
        >>> groups.add("team:mobile", "room:ios", "room:symbian")
        >>> groups.remove("team:mobile", "room:symbian", "room:palm")
        >>> groups.topics("team:mobile")
        frozenset({'room:ios'})
        """
        self._write(operations.remove, check_name(name), check_names(topics))

    def set_topics(self, name: str, topics: Iterable[str]) -> None:
        """Have a group hold exactly these topics.

        Raises `NotFound` where there is no such group, and ``TypeError`` for a lone ``str``.

        >>> groups.create("on-call")
        >>> groups.set_topics("on-call", ["room:ada", "room:grace"])
        >>> groups.set_topics("on-call", ["room:grace"])
        >>> groups.topics("on-call")
        frozenset({'room:grace'})
        """
        self._write(operations.set_topics, check_name(name), check_names(topics))

    def topics(self, name: str) -> frozenset[str]:
        """Return the topics of a group.

        Raises `NotFound` where there is no such group.

        >>> groups.topics("team:engineering") == {"room:frontend", "room:backend"}
        True
        """
        return self._read(operations.topics, check_name(name))

    def list_groups(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Return the names of the groups in code point order.

        Only those that start with ``prefix``; only those that come after the name ``after``
        (which need not exist); and at most ``limit`` of them. A next page starts ``after`` the
        last name of the page before. Raises ``ValueError`` for a ``limit`` below 0, and
        ``TypeError`` for one that is no whole number.

        >>> for name in ("floor:1", "floor:2", "floor:3"):
        ...     groups.create(name)
        >>> groups.list_groups("floor:", limit=2)
        ['floor:1', 'floor:2']
        >>> groups.list_groups("floor:", after="floor:2", limit=2)
        ['floor:3']
        """
        return list(self._read(operations.list_groups, *check_page(prefix, after, limit)))

    def groups_of(self, topic: str) -> list[str]:
        """Return the names of the groups that hold a topic, in code point order.

        >>> groups.groups_of("room:backend")
        ['team:engineering']
        >>> groups.groups_of("room:nobody")
        []
        """
        return list(self._read(operations.groups_of, check_name(topic)))

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a group of that name; False for a str that can be no name."""
        try:
            checked = check_name(name)
        except InvalidName:
            return False
        return self._read(operations.contains, checked)

    def __len__(self) -> int:
        """Return the number of groups."""
        return self._read(operations.count)

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the groups, as of this moment and in code point order."""
        return iter(self.list_groups())

    def broadcast(
        self,
        channels: Callable[[str, str, Any], object],
        group: str | Iterable[str],
        event: str,
        payload: object,
        *,
        exclude: Iterable[str] = (),
    ) -> None:
        """Call ``channels(topic, event, payload)`` once for each topic of a group.

        In code point order of the topics, in this thread, with no lock and no transaction held,
        so the callback may use the handle. ``group`` is a name or an iterable of names, whose
        topics get the event once each; the topics in ``exclude`` do not. A group that does not
        exist has no topics. The payload is handed over as it is.

        An ``Exception`` from the callback is logged on the logger ``beryl_groups``, and the other
        topics still get the event. The same failure of many topics is logged once: the same are
        errors of one type, raised at one place, that say the same but for the name of the topic.
        ``KeyboardInterrupt`` and the like pass through. An async callback is a ``TypeError``.

        >>> groups.broadcast(print, "team:engineering", "deploy_started", {"env": "prod"})
        room:backend deploy_started {'env': 'prod'}
        room:frontend deploy_started {'env': 'prod'}
        >>> groups.broadcast(print, "team:engineering", "lunch", None, exclude=["room:backend"])
        room:frontend lunch None
        """
        check_callback(channels)
        refuse_async(channels)
        audience = Audience(group, exclude)
        topics = audience.without_excluded(self._read(audience.operation, *audience.names))
        self._deliver(channels, audience.group, topics, event, payload)
