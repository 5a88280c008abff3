"""How names and JSON stand in a line, and how a line gives back the exact name."""

from __future__ import annotations

import codecs
import json
import re

# What ends a line for one reader or another, what tells a terminal what to do, the mark that may
# stand before a text, and what UTF-8 cannot carry.
_NEVER_BARE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")

_QUOTE = '"'


def is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


def json_text(value: object, *, ascii_only: bool = False) -> str:
    r"""Return JSON that is one line to every reader and does nothing to a terminal.

    >>> print(json_text({"group": "caf\u00e9", "topics": ["a\tb", "c\x85d"]}))
    {"group": "café", "topics": ["a\tb", "c\u0085d"]}
    """
    text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    return _NEVER_BARE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def line_of(name: str, encoding: str = "utf-8") -> str:
    r"""Return the name itself, or as a JSON string where it could not stand in a line bare.

    That is so where it holds a control character, begins with a quotation mark, or has a character
    that the encoding lacks.

    >>> print(line_of("team: engineering"))
    team: engineering
    >>> print(line_of("two\nlines"))
    "two\nlines"
    """
    if name.startswith(_QUOTE) or _NEVER_BARE.search(name):
        return json_text(name, ascii_only=not is_utf8(encoding))
    try:
        name.encode(encoding)
    except UnicodeEncodeError:
        return json_text(name, ascii_only=True)
    return name


def name_of(line: str) -> str:
    r"""Return the name that `line_of` has shown so, or raise ``ValueError`` with a reason.

    >>> name_of('"two\\nlines"')
    'two\nlines'
    """
    if not line.startswith(_QUOTE):
        return line
    try:
        return str(json.loads(line))
    except json.JSONDecodeError as error:
        raise ValueError(
            "it begins with a quotation mark and is no JSON string "
            f"({error.msg} at character {error.pos + 1})"
        ) from error


def is_bare(name: str) -> bool:
    """Tell whether the name may stand in a line as it is."""
    return line_of(name) == name


def in_one_line(text: object) -> str:
    r"""Return what an error says, for one, without line breaks, and so that a terminal shows it.

    >>> in_one_line("the port\nis in use")
    'the port is in use'
    >>> print(in_one_line("go\x1b[2J away"))
    go\x1b[2J away
    """
    line = " ".join(str(text).splitlines())
    return _NEVER_BARE.sub(lambda found: repr(found[0])[1:-1], line)


def reason_of(error: BaseException) -> str:
    """Return what an error says as a part of a sentence, or its ``repr`` where it says nothing.

    >>> reason_of(OSError("The port is in use."))
    'The port is in use'
    """
    return in_one_line(error).removesuffix(".") or repr(error)
