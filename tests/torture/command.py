"""What the commands of all runs share."""

from __future__ import annotations

import argparse
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest


def parse(
    name: str,
    description: str | None,
    words: list[str] | None,
    broken: Iterable[str],
    engines: Iterable[str] = (),
) -> argparse.Namespace:
    """Return ``long``, ``seed`` and ``broken`` of a run, and print its seed."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.torture.{name}", description=description
    )
    parser.add_argument("--long", action="store_true", help="the form that the README speaks of")
    parser.add_argument("--seed", type=int, help="what decides all that is random")
    parser.add_argument("--broken", choices=sorted(broken), help="break the library on purpose")
    if engines:
        parser.add_argument("--engine", choices=list(engines), default="sqlite")
    arguments = parser.parse_args(words)
    if arguments.seed is None:
        arguments.seed = secrets.randbelow(10**6)
    print(f"seed {arguments.seed}", flush=True)
    return arguments


def figure_of_short_form(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    """Run a command that has to find nothing; it says its seed first, and its figure last."""
    code = main([*words])
    out = capsys.readouterr().out
    assert code == 0, out
    first, *_, last = out.splitlines()
    assert first.startswith("seed ")
    return last
