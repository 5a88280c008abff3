"""No answer is older or newer than it may be, and the checker that says so can fail."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from tests import processes
from tests.coherence import races
from tests.coherence.__main__ import main
from tests.coherence.history import History, Read, State, Write
from tests.coherence.rounds import Plan, run
from tests.coherence.variants import BROKEN, SLOWED

SEED = time.time_ns()
"""Shown by pytest where a test fails."""


def test_every_read_is_explained_by_what_was_committed_around_it() -> None:
    """Handles in processes, threads and the sqlite3 shell: no read is stale or early."""
    figures = run(Plan(f"{SEED}", seconds=3))
    assert not figures.explanations, "\n".join([f"seed {SEED}", *figures.explanations])
    assert figures.reads > 1000
    assert min(figures.writes, figures.undone, figures.edits) > 0


@pytest.mark.parametrize("slowed", SLOWED)
def test_that_holds_where_a_race_takes_longer(slowed: str) -> None:
    """Pauses between the steps of a read and of a commit lose no race."""
    figures = run(Plan(f"{SEED}", seconds=0.8, variants=(slowed,)))
    assert not figures.explanations, "\n".join([f"seed {SEED}", *figures.explanations])


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_library_is_noticed(broken: str) -> None:
    """Each way to lose a race on purpose gives a violation within seconds."""
    for number in range(60):
        if run(Plan(f"{SEED}, {number}", seconds=0.5, variants=(broken,))).violations:
            return
    pytest.fail(f"{broken} was not noticed")


def test_the_steps_of_a_race_may_come_in_any_order(tmp_path: Path) -> None:
    """Of one cache's reads and writes, others' commits, interruptions and new connections."""
    races.explore(tmp_path, seed=SEED, races=2000)


def lose_a_race(broken: str) -> None:
    BROKEN[broken]()
    with tempfile.TemporaryDirectory() as folder:
        try:
            races.explore(Path(folder), seed=1, races=2000)
        except AssertionError:
            return
    raise SystemExit(f"{broken} was not noticed")


@pytest.mark.parametrize("broken", ["never_looks", "believes_to_be_alone", "keeps_what_it_touched"])
def test_some_order_loses_the_race_of_a_broken_cache(broken: str) -> None:
    """What is broken on purpose is found in the steps of the cache alone as well."""
    processes.finish(processes.start(lose_a_race, broken))


def test_the_command_says_what_it_did_and_whether_all_was_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its seed first, its figures last; 0 where all was right, and 1 with the reason where not."""
    assert main(["--seconds", "0.3", "--seed", "7"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "seed 7"
    assert last.endswith(" 0 violations")
    assert main(["--seconds", "1", "--broken", "never_looks"]) == 1
    out = capsys.readouterr().out
    assert "gave" in out
    assert not out.endswith(" 0 violations\n")


ONE, TWO = frozenset(["1"]), frozenset(["2"])


def write(group: str, begin: int, end: int, state: State, call: int) -> Write:
    return Write(group, begin, end, state, call, "hand")


HISTORY = History(
    ["a", "b"],
    [
        write("a", 10, 20, ONE, call=1),
        write("a", 30, 40, None, call=2),
        write("a", 50, 60, TWO, call=3),
        write("b", 50, 60, ONE, call=3),
    ],
)


@pytest.mark.parametrize(
    ("begin", "end", "method", "arguments", "answer", "right"),
    [
        (1, 9, "topics", ("a",), None, True),
        (1, 9, "topics", ("a",), ONE, False),  # of the future
        (1, 10, "topics", ("a",), ONE, True),
        (12, 15, "topics", ("a",), None, True),
        (21, 29, "topics", ("a",), None, False),  # stale
        (21, 29, "topics", ("a",), ONE, True),
        (40, 55, "topics", ("a",), ONE, True),
        (41, 55, "topics", ("a",), ONE, False),  # put back after it was gone
        (41, 55, "topics", ("a",), TWO, True),
        (1, 99, "topics", ("a",), frozenset(["3"]), False),  # never committed
        (51, 59, "broadcast", ("a", "b"), ["1", "2"], True),
        (51, 59, "broadcast", ("a", "b"), [], True),
        (51, 59, "broadcast", ("a", "b"), ["2"], False),  # half of a transaction
        (21, 59, "broadcast", ("a", "b"), ["1"], True),
        (21, 29, "contains", ("a",), False, False),
        (21, 29, "count", (), 1, True),
        (21, 29, "count", (), 2, False),
        (51, 59, "count", (), 1, False),
        (1, 99, "groups_of", ("1",), ["a", "b"], False),  # never at one moment
        (21, 70, "groups_of", ("1",), ["b"], True),
        (61, 70, "list_groups", ("a", 5), ["b"], True),
        (61, 70, "list_groups", ("", 1), ["b"], False),
    ],
)
def test_the_judge_tells_right_from_wrong(
    begin: int, end: int, method: str, arguments: tuple[object, ...], answer: object, right: bool
) -> None:
    """An answer is right where it was so at one moment between the begin and the end."""
    assert HISTORY.explains(Read(begin, end, method, arguments, answer, "a reader")) is right
