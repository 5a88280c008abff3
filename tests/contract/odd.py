"""Things that a caller could hand over by mistake or out of malice."""

from __future__ import annotations

import decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TOPICS = ("a", "b")


class MineError(Exception):
    """What the caller's own code raises."""


def raising(*_: object, **__: object) -> Any:
    raise MineError


class Hostile(str):
    """A str none of whose own methods can be called."""

    __slots__ = ()

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = raising
    __hash__ = __len__ = __iter__ = __bool__ = __contains__ = __getitem__ = raising
    __str__ = __repr__ = __format__ = __add__ = __radd__ = __mod__ = raising
    encode = startswith = join = strip = raising


class Sealed:
    """An object that does not even show itself."""

    __repr__ = __str__ = __bool__ = __hash__ = __eq__ = raising


class Pretender:
    """An object that says that it is a str."""

    @property
    def __class__(self) -> type:
        return str

    @__class__.setter
    def __class__(self, _: type) -> None: ...


class Level(str, Enum):  # noqa: UP042 - which shows itself as Level.NORMAL
    """An option as many keep theirs."""

    NORMAL = "normal"


def deep(levels: int) -> Any:
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


# By name, for pytest itself cannot handle some of them.
ODD: dict[str, Callable[[], Any]] = {
    "sealed": Sealed,
    "pretender": Pretender,
    "object": object,
    "ellipsis": lambda: ...,
    "a huge number": lambda: 10**4000,
    "a long list": lambda: ["a"] * 10**6,
    "deep": lambda: deep(10**5),
    "bytes": lambda: b"full",
    "text": lambda: "5",
    "hostile": lambda: Hostile("off"),
    "none": lambda: None,
    "complex": lambda: 1j,
    "float": lambda: 1.5,
    "dict": dict,
    "decimal": lambda: decimal.Decimal(1),
}
NO_TEXT = ODD.keys() - {"text", "hostile"}
NO_WHOLE_NUMBER = ODD.keys() - {"a huge number", "none"}
NO_NUMBER = ODD.keys() - {"a huge number", "float", "decimal"}
NO_PATH = ODD.keys() - {"text", "hostile"}
