"""What the command line says in a sentence."""

from __future__ import annotations


def sentence(error: object) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).splitlines())
