"""All methods in all threads behave as if one call came after the other; the judge can say no."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines import ENGINES, POSTGRESQL
from tests.torture.command import figure_of_short_form
from tests.torture.linearizability import checker
from tests.torture.linearizability.__main__ import NOTICED, main, run
from tests.torture.linearizability.checker import Call, Undecided, is_linearizable
from tests.torture.linearizability.grounds import KINDS
from tests.torture.linearizability.rules import NAMES, Refused, State, changes, step

EMPTY: State = (None,) * len(NAMES)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_history_of_calls_is_one_after_the_other(
    capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    """4 processes of 4 threads: an order explains every answer and every refusal.

    Also the command says its seed first and its figure last, and exits with 0.
    """
    if engine not in KINDS:
        pytest.skip("needs a PostgreSQL server")
    last = figure_of_short_form(main, capsys, "--engine", engine)
    assert last.endswith(" rounds, 0 faults")
    assert int(last.split()[0].replace(",", "")) > 100


@pytest.mark.parametrize(
    ("engine", "broken"),
    [
        pytest.param(engine, broken, marks=[pytest.mark.postgresql] if engine == POSTGRESQL else [])
        for engine, broken in NOTICED
    ],
)
def test_a_library_that_breaks_its_word_is_noticed(engine: str, broken: str) -> None:
    """Stale answers, half of a transaction, or a call that is not there yet are faults."""
    fault, *_ = run(time.time_ns(), seconds=60, broken=broken, engine=engine).faults
    # Who locks no group adds topics to one that is gone, which the server notices first.
    assert fault.startswith("no order explains these calls") or broken == "locks_no_group"


def test_the_command_fails_where_a_fault_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    """It shows the calls that no order explains, and exits with 1."""
    assert main(["--broken", "acknowledges_before_the_commit"]) == 1
    out = capsys.readouterr().out
    assert out.endswith(" 1 faults\n")


def call(begin: int, end: int, method: str, arguments: str = "", result: object = None) -> Call:
    return Call(begin, end, "", method, tuple(arguments), result, changes(method, result))


def transaction(begin: int, end: int, method: str, *inner: tuple[str, str, object]) -> Call:
    requests = tuple((name, tuple(arguments)) for name, arguments, _ in inner)
    results = tuple(result for _, _, result in inner)
    return Call(begin, end, "", method, requests, results, changes(method, results))


ONE = frozenset("1")
EXISTS, MISSING = Refused("AlreadyExists", "a"), Refused("NotFound", "a")
CREATE = call(1, 2, "create", "a")
MOVE = transaction(
    3, 8, "transaction", ("create", "b", None), ("broadcast", "b", ()), ("delete", "a", None)
)


@pytest.mark.parametrize(
    ("history", "right"),
    [
        ([], True),
        ([CREATE, call(3, 4, "topics", "a", frozenset())], True),
        ([CREATE, call(3, 4, "topics", "a", MISSING)], False),  # stale
        ([CREATE, call(1, 2, "topics", "a", MISSING)], True),
        ([CREATE, call(1, 2, "contains", "a", True), call(3, 4, "count", "", 0)], False),
        ([CREATE, call(2, 3, "create", "a", EXISTS)], True),
        ([CREATE, call(1, 2, "create", "a")], False),  # both have won
        ([call(1, 2, "create", "a", EXISTS)], False),  # nobody has won
        ([call(1, 2, "create", "a", EXISTS), call(2, 3, "create", "a")], True),
        ([call(1, 2, "create", "a", EXISTS), call(3, 4, "create", "a")], False),  # foreseen
        ([CREATE, call(3, 4, "add", "a1"), call(5, 6, "topics", "a", frozenset())], False),  # lost
        ([CREATE, call(3, 9, "add", "a1"), call(5, 6, "topics", "a", frozenset())], True),
        ([CREATE, call(3, 9, "add", "a1"), call(5, 6, "topics", "a", ONE)], True),
        (  # back again
            [
                CREATE,
                call(3, 9, "add", "a1"),
                call(4, 5, "topics", "a", ONE),
                call(6, 7, "topics", "a", frozenset()),
            ],
            False,
        ),
        ([CREATE, call(3, 4, "rename", "ab"), call(5, 6, "iterate", "", ("b",))], True),
        ([CREATE, call(3, 4, "rename", "ba"), call(5, 6, "iterate", "", ("a",))], False),
        ([CREATE, MOVE, call(4, 5, "iterate", "", ("b",))], True),
        ([CREATE, MOVE, call(4, 5, "iterate", "", ("a", "b"))], False),  # by halves
        ([CREATE, MOVE, call(4, 5, "delete", "a")], False),
        ([transaction(1, 2, "undone", ("create", "a", None), ("contains", "a", True))], True),
        ([transaction(1, 2, "undone", ("create", "a", EXISTS))], False),
        ([transaction(1, 2, "undone", ("create", "a", None)), call(3, 4, "count", "", 1)], False),
        ([call(1, 2, "edit_add", "a1"), call(1, 2, "groups_of", "1", ())], True),
        ([CREATE, call(3, 4, "edit_add", "a1"), call(5, 6, "groups_of", "1", ("a",))], True),
        ([CREATE, call(3, 4, "edit_delete", "a"), call(5, 6, "delete", "a")], False),
    ],
)
def test_the_checker_tells_right_from_wrong(history: list[Call], right: bool) -> None:
    """A history is right where each call has a moment between its ends that explains it."""
    assert is_linearizable(history, EMPTY, step) is right
    assert is_linearizable(history[::-1], EMPTY, step) is right


def test_the_checker_says_where_it_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history that it has not searched to the end is neither right nor wrong."""
    monkeypatch.setattr(checker, "MOST_PLACES", 10)
    with pytest.raises(Undecided):
        is_linearizable([call(1, 9, "create", name) for name in "abcd"] * 2, EMPTY, step)


RESULTS = {
    "create": (None, EXISTS),
    "delete": (None, MISSING),
    "topics": (frozenset(), ONE, MISSING),
    "add": (None, MISSING),
}


@st.composite
def short_calls(draw: st.DrawFn) -> Call:
    method = draw(st.sampled_from(sorted(RESULTS)))
    begin = draw(st.integers(0, 8))
    end = begin + draw(st.integers(0, 5))
    result = draw(st.sampled_from(RESULTS[method]))
    return call(begin, end, method, "a1" if method == "add" else "a", result)


def is_right_in_some_order(history: list[Call]) -> bool:
    """Try all orders, as the definition has it."""
    for order in itertools.permutations(history):
        if any(later.end < earlier.begin for earlier, later in itertools.combinations(order, 2)):
            continue
        state = EMPTY
        for each in order:
            result, state = step(state, each)
            if result != each.result:
                break
        else:
            return True
    return False


@given(st.lists(short_calls(), max_size=5))
def test_the_checker_agrees_with_the_definition(history: list[Call]) -> None:
    """It finds an order exactly where there is one among all orders of the calls."""
    assert is_linearizable(history, EMPTY, step) is is_right_in_some_order(history)
