"""The rules for names of groups and topics: what SQLite can give back exactly as it was given."""

from __future__ import annotations

import operator
import reprlib
from typing import TYPE_CHECKING

from beryl_groups.errors import InvalidName

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BYTES = 1024

_MOST_ROWS = 2**63 - 1  # an integer of SQLite's

_MAX_BYTES_OF_A_CHARACTER = 4

_FEW = 4  # so many are checked faster one by one


def check_name(name: object) -> str:
    """Return the name as a plain ``str``, or raise ``TypeError`` or `InvalidName`."""
    if type(name) is str and name.isascii() and 0 < len(name) <= MAX_BYTES and "\0" not in name:
        return name  # as most are, and a call of ours costs more than all of this
    text = _plain(name)
    if not text:
        raise InvalidName(text, "it is empty")
    if "\0" in text:
        raise InvalidName(text, "it holds a NUL character")
    if (size := len(_encoded(text))) > MAX_BYTES:
        raise InvalidName(text, f"it has {size:,} bytes in UTF-8, and {MAX_BYTES:,} is the most")
    return text


def check_names(names: Iterable[object]) -> list[str]:
    """Check many names; a sound list of any length is judged in a few passes at C speed."""
    if type(names) is tuple and len(names) == 1:
        return [check_name(names[0])]  # as in most calls
    if isinstance(names, str):
        raise TypeError(f"An iterable of names is expected, not the lone str {shown(names)}.")
    # In a loop of Python's: in one of C's Ctrl-C is not heard, and there may be no end to it.
    listed = list(names) if type(names) is tuple else [name for name in names]  # noqa: C416
    if len(listed) > _FEW and _all_sound(listed):
        return listed  # type: ignore[return-value]
    return list(map(check_name, listed))


def check_bound(text: object) -> str:
    """Return a text that names are compared with: it need not be a name itself."""
    plain = _plain(text)
    _encoded(plain)
    return plain


def check_page(
    prefix: object, after: object | None, limit: int | None
) -> tuple[str, str | None, int | None]:
    """Return the least name of a page, what is above all of it, and how many it has at most."""
    lowest = check_bound(prefix)
    end = after_prefix(lowest)
    if after is not None:
        # NUL is the least character and in no name: nothing lies between a name and this.
        lowest = max(lowest, check_bound(after) + "\0")
    if limit is not None:
        limit = min(operator.index(limit), _MOST_ROWS)
        if limit < 0:
            raise ValueError(f"The limit is 0 or more, or None for all, not {limit!r}.")
    return lowest, end, limit


def after_prefix(prefix: str) -> str | None:
    """Return the least text above all that start with the prefix, or None where there is none.

    >>> after_prefix("room:")
    'room;'
    """
    for end in range(len(prefix), 0, -1):
        last = ord(prefix[end - 1])
        if last < 0x10FFFF:
            # Surrogates are no characters: the one that follows U+D7FF is U+E000.
            return prefix[: end - 1] + chr(0xE000 if last == 0xD7FF else last + 1)
    return None


def shown(thing: object) -> str:
    """Return the ``repr`` of anything, in a length for a sentence and even if it has none."""
    return reprlib.repr(thing)


def _all_sound(names: list[object]) -> bool:
    if not set(map(type, names)) <= {str}:
        return False
    texts: list[str] = names  # type: ignore[assignment]
    if not all(texts) or len(max(texts, key=len, default="")) * _MAX_BYTES_OF_A_CHARACTER > (
        MAX_BYTES
    ):
        return False
    joined = "".join(texts)
    try:
        joined.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in joined


def _plain(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"A name is a str, not {type(name).__name__}: {shown(name)}.")
    # A subclass may show and compare itself as it likes: what counts is its text.
    return str.__str__(name)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        rule = f"character {error.start} is an unpaired surrogate, which UTF-8 cannot carry"
        raise InvalidName(text, rule) from error
