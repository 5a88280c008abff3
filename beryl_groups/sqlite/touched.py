"""Which answers a write may change, for the cache to drop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beryl_groups.operations import (
    add,
    contains,
    count,
    create,
    create_and_add,
    groups_of,
    list_groups,
    ordered_topics,
    ordered_union,
    remove,
    set_topics,
    topics,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from beryl_groups.sqlite.cache import Touched

_FEW = 100
_ANY_NAME: list[Touched] = [(contains, None), (count, None), (list_groups, None)]
_ANY_TOPICS: list[Touched] = [(topics, None), (ordered_topics, None), (ordered_union, None)]
EVERYTHING: list[Touched] = [*_ANY_NAME, *_ANY_TOPICS, (groups_of, None)]


def touched_by(operation: Callable[..., Any], arguments: tuple[Any, ...]) -> Iterator[Touched]:
    """Return which answers a write may change: those of a reading operation to these arguments.

    None stands for whatever the arguments were.
    """
    if operation is create:
        yield from _ANY_NAME
        yield ordered_topics, arguments[:1]
        yield ordered_union, None
    elif operation in (add, create_and_add, remove, set_topics):
        name, changed = arguments
        if operation is create_and_add:
            yield from _ANY_NAME
        yield topics, (name,)
        yield ordered_topics, (name,)
        yield ordered_union, None
        if operation is set_topics or len(changed) > _FEW:
            yield groups_of, None
        else:
            for topic in changed:
                yield groups_of, (topic,)
    else:
        yield from EVERYTHING
