"""The benchmarks: that they run and print all they promise; no time is judged here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks import contenders, growth, processes, threads, watching
from tests.postgresql import shared

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def _tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the rows of each Markdown table, without its head."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        if lines:
            yield [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def test_the_short_form_measures_every_work_for_everyone(tmp_path: Path) -> None:
    """Each row of the table has figures of ours and of all who can do the work."""
    printed = _run("tests.benchmarks", "--short", "--folder", str(tmp_path))
    limits, compared, shares, _ = _tables(printed)
    slow_storage = threads.cannot_slow_down() is None
    assert len(limits) == len(compared) == 12 + slow_storage
    assert len(shares) == 2 * len(processes.KINDS)
    present = [kind for kind in contenders.KINDS if kind.missing() is None]
    *all_but_last, last = compared
    left_out = {kind.name for kind in present} - set(processes.KINDS)
    for row in all_but_last:
        assert len(row) == 1 + len(present)
        cannot = {kind.name for kind, cell in zip(present, row[1:], strict=True) if cell == "-"}
        of_threads = threads.OF_ONE_THREAD if "threads that" in row[0] else set()
        assert cannot == (left_out if "processes of" in row[0] else of_threads)
    assert [cell == "-" for cell in last[1:]] == [not kind.several_processes for kind in present]
    for kind in contenders.KINDS:
        assert f"- {kind.name}: {kind.promises}." in printed
    assert not list(tmp_path.iterdir()), "the benchmark left files behind"


def test_what_watching_costs_is_printed(tmp_path: Path) -> None:
    """How soon a change is told, what writes take beside watches, and looks of each size."""
    printed = _run("tests.benchmarks.watching", "--short", "--folder", str(tmp_path))
    ways, works, sizes = _tables(printed)
    missing = importlib.util.find_spec("watchfiles") is None
    assert [row[0] for row in ways] == list(watching.WAYS)[: len(watching.WAYS) - missing]
    assert len(works) == 2
    assert [row[0] for row in sizes] == ["100", "1,000"]
    assert "inf" not in printed
    assert not list(tmp_path.iterdir()), "the benchmark left files behind"


@pytest.mark.postgresql
def test_a_server_is_measured_here_and_across_a_network() -> None:
    """Each work has figures of ours and of raw psycopg, and each call its round trips."""
    if (reason := shared.is_missing()) is not None:
        pytest.skip(reason)
    from tests.benchmarks.postgresql import FAR

    works, calls = _tables(_run("tests.benchmarks.postgresql", "--short"))
    assert len(works) == 4
    assert [row[0] for row in calls] == [*FAR, "`SELECT 1` of raw psycopg"]
    assert all(float(row[2]) > 0 for row in calls)


def test_growth_writes_its_table_and_its_plot(tmp_path: Path) -> None:
    """Each size is a row of the table, and each line of the plot has a point for it and a name."""
    pytest.importorskip("matplotlib")
    table, plot = tmp_path / "growth.md", tmp_path / "growth.svg"
    options = ("--folder", str(tmp_path), "--table", str(table), "--svg", str(plot))
    _run("tests.benchmarks.growth", "--sizes", "200,1000", *options)
    (rows,) = _tables(table.read_text(encoding="utf-8"))
    assert [row[0] for row in rows] == ["200", "1,000"]
    svg = "{http://www.w3.org/2000/svg}"
    drawing = ET.parse(plot).getroot()
    marks = [len(group.findall(f"{svg}g/{svg}use")) for group in drawing.iter(f"{svg}g")]
    texts = {text.text for text in drawing.iter(f"{svg}text")}
    assert (
        marks.count(2)
        == len(texts & {*growth.TIMES.values(), *growth.BYTES.values()})
        >= len(growth.TIMES)
    )
    assert texts >= {"200", "1,000", *growth.TIMES.values()}
    assert {path.name for path in tmp_path.iterdir()} == {table.name, plot.name}
