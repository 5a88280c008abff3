"""Runs what holds a database against a plain dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.stateful import RuleBasedStateMachine


def run_machine(make: Callable[[], RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Run so many state machines, each of at most so many steps."""
    run: Any = run_state_machine_as_test  # which some versions type, and as no factory
    run(make, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None))
