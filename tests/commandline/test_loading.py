"""Ctrl-C while the command line is loaded, which takes longer than most of its commands."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from beryl_groups.cli import main
from tests.commandline.running import call, filled
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

# Begins as the program does, and presses Ctrl-C when what is named is about to be imported; "cb"
# is a callback of Python's own imports, in which an exception would be printed and forgotten.
PROGRAM = """
import runpy, signal, sys

_, moment, way, ignored, *arguments = sys.argv
sys.argv = ["beryl-groups", *arguments]
if ignored:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

def press():
    sys.setprofile(None)
    signal.raise_signal(signal.SIGINT)

def look_at_import(event, arguments):
    if event == "import" and arguments[0] == moment:
        press()

def look_at_call(frame, event, argument):
    if event == "call" and frame.f_code.co_name == moment == "cb" and "click" in sys.modules:
        press()

sys.addaudithook(look_at_import)
if moment == "cb":
    sys.setprofile(look_at_call)
if way == "module":
    runpy.run_module("beryl_groups", run_name="__main__", alter_sys=True)
else:
    from beryl_groups.__main__ import main
    sys.exit(main())
"""


def run(path: Path, moment: str, way: str, ignored: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, moment, way, ignored, "list", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("way", ["script", "module"])
@pytest.mark.parametrize(
    "moment",
    ["beryl_groups.cli", "click", "sqlalchemy", "beryl_groups.commandline.writing", "cb"],
)
def test_ctrl_c_while_the_program_is_loaded_is_a_sentence(
    path: Path, moment: str, way: str
) -> None:
    """From its own first lines on, Ctrl-C ends it with 130 and without a traceback."""
    done = run(filled(path, {"team": []}), moment, way)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_where_ctrl_c_is_ignored_it_stays_ignored(path: Path) -> None:
    """What a shell has started beside itself is not for its Ctrl-C."""
    done = run(filled(path, {"team": []}), "sqlalchemy", "script", ignored="ignored")

    assert (done.returncode, done.stdout, done.stderr) == (0, "team\n", "")


def test_another_thread_than_the_main_one_can_run_it(path: Path) -> None:
    """A host may call it where no signal can be handled; Ctrl-C is the host's then."""
    program = """
import sys, threading
from beryl_groups.__main__ import main

thread = threading.Thread(target=main)
thread.start()
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "list", filled(path, {"team": []})],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert (done.stdout, done.stderr) == ("team\n", "")


def test_ctrl_c_while_the_arguments_are_read_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the imports and the command itself it is heard, too."""
    monkeypatch.setattr(main, "parse_args", lambda *_: signal.raise_signal(signal.SIGINT))

    done = call("list", "groups.db")

    assert (done.status, done.raw, done.errors) == (130, b"", "Interrupted.\n")


@pytest.mark.parametrize(
    "program",
    [
        "beryl_groups.errors.NotFound, beryl_groups.groups.Groups, beryl_groups.transaction",
        "beryl_groups.start = 1; beryl_groups.NotFound; assert beryl_groups.start == 1",
    ],
    ids=["modules", "replaced"],
)
def test_what_is_imported_late_looks_as_if_it_were_there(program: str) -> None:
    """The modules are attributes, and what somebody has put in place of a name stays there."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import beryl_groups\n{program}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_alone_loads_nothing() -> None:
    """What it offers is imported when it is asked for, and then all at once."""
    program = """
import sys, beryl_groups
assert {"errors", "start"} & {*vars(beryl_groups)} == set()
assert not {name for name in sys.modules if name.startswith(("sqlalchemy", "beryl_groups."))}
assert {*beryl_groups.__all__} <= {*dir(beryl_groups)}
from beryl_groups import *
assert {*beryl_groups.__all__} <= {*globals()}
assert {*beryl_groups.__all__} <= {*vars(beryl_groups)}
assert beryl_groups.start is start and NotFound.__module__ == "beryl_groups.errors"
try:
    beryl_groups.nothing
except AttributeError as error:
    assert str(error) == "module 'beryl_groups' has no attribute 'nothing'"
else:
    raise AssertionError
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
