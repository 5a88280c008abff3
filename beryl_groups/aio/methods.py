"""The calls that an async handle and an async transaction share.

The rules are those of ``beryl_groups.methods``: the names are checked by the same functions, and
the operations are the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from beryl_groups import operations
from beryl_groups.aio.delivery import check_concurrency, check_timeout, deliver
from beryl_groups.broadcast import Audience, check_callback
from beryl_groups.errors import InvalidName
from beryl_groups.failures import Failures
from beryl_groups.handle import Handle
from beryl_groups.names import check_name, check_names, check_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable


T = TypeVar("T")
Given = TypeVarTuple("Given")


class AsyncGroupMethods(Handle, ABC):
    """Named sets of topics, and broadcasts to them, for the tasks of an event loop.

    The names are those of ``Groups``, and so are the errors. A call that raises has stored
    nothing.
    """

    @abstractmethod
    async def _read(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T: ...

    @abstractmethod
    async def _write(self, operation: Callable[[Any, *Given], T], *given: *Given) -> T: ...

    @abstractmethod
    async def _deliver(self, delivery: Callable[[], Coroutine[Any, Any, None]]) -> None: ...

    async def create(self, name: str, *, exist_ok: bool = False) -> None:
        """Create a group without topics.

        Raises `AlreadyExists` where there is a group of that name. With ``exist_ok`` that is no
        error, and the group keeps its topics.

        >>> await groups.create("team:design")
        >>> await groups.topics("team:design")
        frozenset()
        >>> await groups.create("team:design", exist_ok=True)
        """
        await self._write(operations.create, check_name(name), exist_ok)

    async def delete(self, name: str, *, missing_ok: bool = False) -> None:
        """Delete a group, and with it what it says of its topics.

        Raises `NotFound` where there is no such group, which is no error with ``missing_ok``.

        >>> await groups.create("short-lived")
        >>> await groups.delete("short-lived")
        >>> await groups.exists("short-lived")
        False
        >>> await groups.delete("short-lived", missing_ok=True)
        """
        await self._write(operations.delete, check_name(name), missing_ok)

    async def rename(self, name: str, new_name: str) -> None:
        """Give a group another name; it keeps its topics.

        Raises `NotFound` where there is no such group, and `AlreadyExists` where there is a
        group of the new name, even if it is this one.

        >>> await groups.create("team:ops")
        >>> await groups.rename("team:ops", "team:operations")
        >>> await groups.exists("team:ops"), await groups.exists("team:operations")
        (False, True)
        """
        await self._write(operations.rename, check_name(name), check_name(new_name))

    async def add(self, name: str, *topics: str, create: bool = False) -> None:
        """Add topics to a group: all of them or, where it raises, none.

        A topic that is there already is no error. Raises `NotFound` where there is no such group;
        with ``create`` the group is created then.

        >>> await groups.create("team:web")
        >>> await groups.add("team:web", "room:frontend", "room:css")
        >>> sorted(await groups.topics("team:web"))
        ['room:css', 'room:frontend']
        >>> await groups.add("team:new", "room:desk", create=True)
        """
        operation = operations.create_and_add if create else operations.add
        await self._write(operation, check_name(name), check_names(topics))

    async def remove(self, name: str, *topics: str) -> None:
        """Remove topics from a group: all of them or, where it raises, none.

        A topic that is not there is no error. Raises `NotFound` where there is no such group.

        >>> await groups.create("team:mobile")
        >>> await groups.add("team:mobile", "room:ios", "room:symbian")
        >>> await groups.remove("team:mobile", "room:symbian", "room:palm")
        >>> await groups.topics("team:mobile")
        frozenset({'room:ios'})
        """
        await self._write(operations.remove, check_name(name), check_names(topics))

    async def set_topics(self, name: str, topics: Iterable[str]) -> None:
        """Have a group hold exactly these topics.

        Raises `NotFound` where there is no such group, and ``TypeError`` for a lone ``str``.

        >>> await groups.create("on-call")
        >>> await groups.set_topics("on-call", ["room:ada", "room:grace"])
        >>> await groups.set_topics("on-call", ["room:grace"])
        >>> await groups.topics("on-call")
        frozenset({'room:grace'})
        """
        await self._write(operations.set_topics, check_name(name), check_names(topics))

    async def topics(self, name: str) -> frozenset[str]:
        """Return the topics of a group.

        Raises `NotFound` where there is no such group.

        >>> await groups.topics("team:engineering") == {"room:frontend", "room:backend"}
        True
        """
        return await self._read(operations.topics, check_name(name))

    async def list_groups(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Return the names of the groups in code point order.

        Only those that start with ``prefix``; only those that come after the name ``after``
        (which need not exist); and at most ``limit`` of them. A next page starts ``after`` the
        last name of the page before. Raises ``ValueError`` for a ``limit`` below 0, and
        ``TypeError`` for one that is no whole number.

        >>> for name in ("floor:1", "floor:2", "floor:3"):
        ...     await groups.create(name)
        >>> await groups.list_groups("floor:", limit=2)
        ['floor:1', 'floor:2']
        >>> await groups.list_groups("floor:", after="floor:2", limit=2)
        ['floor:3']
        """
        return list(await self._read(operations.list_groups, *check_page(prefix, after, limit)))

    async def groups_of(self, topic: str) -> list[str]:
        """Return the names of the groups that hold a topic, in code point order.

        >>> await groups.groups_of("room:backend")
        ['team:engineering']
        >>> await groups.groups_of("room:nobody")
        []
        """
        return list(await self._read(operations.groups_of, check_name(topic)))

    async def exists(self, name: str) -> bool:
        """Tell whether there is a group of that name; False for a str that can be no name.

        >>> await groups.exists("team:engineering"), await groups.exists("")
        (True, False)
        """
        try:
            checked = check_name(name)
        except InvalidName:
            return False
        return await self._read(operations.contains, checked)

    async def count(self) -> int:
        """Return the number of groups.

        >>> await groups.count()
        1
        """
        return await self._read(operations.count)

    async def __aiter__(self) -> AsyncIterator[str]:
        """Go through the names of the groups, as of its first moment and in code point order."""
        for name in await self.list_groups():
            yield name

    async def broadcast(  # noqa: PLR0913 - one for each thing that can be said of it
        self,
        channels: Callable[[str, str, Any], object],
        group: str | Iterable[str],
        event: str,
        payload: object,
        *,
        exclude: Iterable[str] = (),
        concurrency: int = 1,
        timeout: float | None = None,
    ) -> None:
        """Call ``channels(topic, event, payload)`` once for each topic of a group.

        The callback is plain or ``async``; what it returns is awaited, where it can be. In code
        point order of the topics, with no transaction held, so the callback may use the handle.
        ``group`` is a name or an iterable of names, whose topics get the event once each; the
        topics in ``exclude`` do not. A group that does not exist has no topics. The payload is
        handed over as it is.

        At most ``concurrency`` callbacks run at a time; with 1 all run in this task, one after
        the other. What a callback has returned is awaited for at most ``timeout`` seconds (None:
        without limit); then it is cancelled, which is a failure, and awaited until it has ended.

        An ``Exception`` from the callback is logged on the logger ``beryl_groups``, and the other
        topics still get the event; so is a ``CancelledError`` where nobody has cancelled this
        task. A callback that cancels the task it runs in, as a time limit made by hand does, is
        such a failure with more than 1 at a time; with 1 it cancels this task, and the broadcast.
        The same failure of many topics is logged once: the same are errors of one type,
        raised at one place, that say the same but for the name of the topic. Where this task is
        cancelled all callbacks are, and ``CancelledError`` passes through. So do
        ``KeyboardInterrupt`` and the like.

        >>> async def send(topic, event, payload):
        ...     print(topic, event, payload)
        >>> await groups.broadcast(send, "team:engineering", "deploy_started", {"env": "prod"})
        room:backend deploy_started {'env': 'prod'}
        room:frontend deploy_started {'env': 'prod'}
        >>> await groups.broadcast(print, "team:engineering", "lunch", 1, exclude=["room:backend"])
        room:frontend lunch 1
        >>> await groups.broadcast(send, "team:engineering", "tea", 2, concurrency=10, timeout=1.5)
        room:backend tea 2
        room:frontend tea 2
        """
        check_callback(channels)
        pace = check_concurrency(concurrency), check_timeout(timeout)
        audience = Audience(group, exclude)
        topics = await self._read(audience.operation, *audience.names)
        topics = audience.without_excluded(topics)
        failures = Failures(audience.group, event, topics)
        await self._deliver(
            lambda: deliver(lambda topic: channels(topic, event, payload), topics, failures, *pace)
        )
