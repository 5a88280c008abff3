"""How a command ends when it is not left alone: closed pipes, full disks, Ctrl-C; and progress."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Busy, figures
from beryl_groups.sqlite import copies
from tests.commandline.running import call, filled, in_bash, process, run, terminal
from tests.processes import PATIENCE, in_thread, shell, wait_until, wait_until_asleep

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

MANY = 30_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose names fill many pipes, as groups and as topics."""
    names = [f"name {number:06}" for number in range(MANY)]
    path = tmp_path_factory.mktemp("large") / "groups.db"
    with beryl_groups.start(path) as groups, groups.transaction() as transaction:
        for name in names:
            transaction.create(name)
        transaction.add(names[0], *names)
    return path


COMMANDS = ["list", "list --counts", "list --json", "topics 'name 000000'", "export"]


@pytest.mark.parametrize("command", [*COMMANDS, "broadcast 'name 000000' event"])
def test_a_closed_pipe_is_silent(command: str, large: Path) -> None:
    """Where the reader has had enough, nothing is said, and the status is that of SIGPIPE."""
    name, _, rest = command.partition(" ")
    script = f"beryl-groups {name} groups.db {rest} | head -n 1; echo ${{PIPESTATUS[0]}}"

    done = in_bash(script, large.parent)

    assert done.errors == ""
    first, status = done.lines
    assert "name 000000" in first
    assert status == str(128 + signal.SIGPIPE)


def test_a_pipe_that_is_closed_before_the_first_line_is_silent(path: Path) -> None:
    """So it is where all output fits into what the interpreter keeps until the end."""
    filled(path, {"team": []})
    reader, writer = os.pipe()
    os.close(reader)
    with process("list", path, stdout=writer) as started:
        os.close(writer)
        _, errors = started.communicate(timeout=PATIENCE)
    assert (started.returncode, errors) == (128 + signal.SIGPIPE, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")  # noqa: PTH110
@pytest.mark.parametrize("command", ["list", "export"])
def test_output_that_cannot_be_written_is_a_sentence(command: str, path: Path) -> None:
    """A full disk under the output ends with 1, whether a line or a megabyte was to be written."""
    filled(path, {"team": []})
    done = in_bash(f"beryl-groups {command} groups.db > /dev/full", path.parent)
    assert done.status == 1
    assert done.errors == "Error: Standard output cannot be written: No space left on device.\n"


@pytest.mark.slow
def test_closed_standard_streams_are_a_sentence(path: Path) -> None:
    """Without a standard stream that a command needs it says so; without others it goes on."""
    filled(path, {"team": []})
    script = """
        beryl-groups list groups.db >&-; echo $?
        beryl-groups add groups.db team - <&-; echo $?
        beryl-groups add groups.db team a <&- >&- 2>&-; echo $?
        beryl-groups add groups.db nobody a <&- >&- 2>&-; echo $?
    """
    done = in_bash(script, path.parent)
    assert done.lines == ["1", "1", "0", "1"]
    assert done.errors == (
        "Error: There is no standard output to write to.\n"
        "Error: There is no standard input to read from.\n"
    )


@pytest.fixture
def long_import(tmp_path: Path) -> Path:
    """A file that takes some seconds to import."""
    topics = [f"topic {number}" for number in range(2000)]
    file = tmp_path / "groups.jsonl"
    with file.open("w") as lines:
        lines.writelines(
            json.dumps({"group": f"group {number}", "topics": topics}) + "\n"
            for number in range(300)
        )
    return file


def interrupt(started: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C, and see that the command ends as it should."""
    started.send_signal(signal.SIGINT)
    output, errors = started.communicate(timeout=PATIENCE)
    assert output == b""
    assert errors == b"Interrupted.\n"
    assert started.returncode == 130


def test_ctrl_c_while_waiting_for_input(path: Path, tmp_path: Path) -> None:
    """Ctrl-C in a command that waits for lines ends it with 130, and there is no file."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # To open a fifo waits until the command has opened it, too.
    with process("import", path, fifo) as started, fifo.open("wb", buffering=0) as lines:
        lines.write(b'{"group": "team", "topics": []}\n')
        wait_until_asleep(started.pid)
        interrupt(started)
    assert not path.exists()


def test_ctrl_c_in_an_import_leaves_nothing(path: Path, long_import: Path) -> None:
    """Ctrl-C in the middle of an import ends it with 130 and leaves the database as it was."""
    filled(path, {"team": ["a"]})

    def is_held() -> bool:
        try:
            with groups.transaction():
                return False
        except Busy:
            return True

    with (
        beryl_groups.start(path, busy_timeout=0) as groups,
        process("import", path, long_import) as started,
    ):
        wait_until(is_held)
        interrupt(started)
    assert run("export", path).output == '{"group": "team", "topics": ["a"]}\n'


def test_ctrl_c_while_sqlite_is_at_work(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is heard in the middle of a statement, too, however long it takes."""
    filled(path, {"team": []})
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    )
    monkeypatch.setattr(copies, "_ORPHANS", endless)
    main_thread = threading.get_ident()

    def press_when_at_work() -> None:
        wait_until(lambda: sys._current_frames()[main_thread].f_code.co_name == "_orphans")
        signal.pthread_kill(main_thread, signal.SIGINT)

    pressed = in_thread(press_when_at_work)
    done = call("check", path)

    pressed.result(PATIENCE)
    assert (done.status, done.output, done.errors) == (130, "", "Interrupted.\n")


def test_ctrl_c_counts_whatever_fails_on_the_way_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be tidied up after Ctrl-C does not make another error of it."""

    def fail_on_the_way_out(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            raise RuntimeError("cannot join thread before it is started")

    filled(path, {"team": []})
    monkeypatch.setattr(figures, "figures", fail_on_the_way_out)

    done = call("stats", path)

    assert (done.status, done.output, done.errors) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("reader_is_there", [True, False])
def test_a_failure_half_way_is_told_beside_what_was_written(
    reader_is_there: bool, path: Path
) -> None:
    """What an export wrote before the file failed is there; a closed pipe makes it no worse."""
    filled(path, {"a": ["x"], "b": [], "c": [], "d": []})
    shell(path, "UPDATE groups SET name = CAST(x'64ff' AS TEXT) WHERE name = 'd'")
    reader, writer = os.pipe()
    if not reader_is_there:
        os.close(reader)
    # What waits in a buffer is written at the end, too late to be refused otherwise.
    with process("export", path, stdout=writer, PYTHONUNBUFFERED="") as started:
        os.close(writer)
        _, errors = started.communicate(timeout=PATIENCE)
    assert started.returncode == 1
    assert errors.startswith(b"Error: The database ")
    assert errors.count(b"\n") == 1
    if reader_is_there:
        with os.fdopen(reader) as output:
            first, *rest = output.read().splitlines()
        assert first == '{"group": "a", "topics": ["x"]}'
        # pysqlite3 reads one row ahead.
        assert rest in ([], ['{"group": "b", "topics": []}'])


def on_a_terminal(*arguments: object) -> str:
    """Run a command with its standard error on a terminal, and return what is shown there."""
    with terminal() as screen, process(*arguments, stderr=screen.there) as started:
        started.communicate(timeout=PATIENCE)
        assert started.returncode == 0
        return screen.drain()


@pytest.fixture
def commands(large: Path, tmp_path: Path) -> dict[str, list[object]]:
    """The commands that may take long, each with something to do."""
    exported = tmp_path / "groups.jsonl"
    exported.write_bytes(run("export", large).raw)
    return {
        "Exporting": ["export", large],
        "Importing": ["import", tmp_path / "new.db", exported],
        "Copying": ["backup", large, tmp_path / "copy.db"],
        "Checking": ["check", large],
    }


@pytest.mark.slow
@pytest.mark.parametrize("label", ["Exporting", "Importing", "Copying", "Checking"])
def test_long_work_shows_progress_on_a_terminal(
    label: str, commands: dict[str, list[object]]
) -> None:
    """On a terminal standard error has a bar that fills, and nowhere else has it a word."""
    shown = on_a_terminal(*commands[label])

    assert f"{label}  [" in shown
    if label != "Checking":
        assert "100%" in shown


def test_a_sentence_has_a_line_of_its_own_below_the_bar(path: Path, tmp_path: Path) -> None:
    """What fails on a terminal leaves the bar as far as it came, and the cursor below it."""
    file = tmp_path / "groups.jsonl"
    file.write_text('{"group": "team", "topics": []}\n{}\n')
    with terminal() as screen, process("import", path, file, stderr=screen.there) as started:
        assert started.wait(PATIENCE) == 1
        *bar, sentence, end = screen.drain().split("\n")
    assert "Reading  [" in "".join(bar)
    assert sentence.startswith("Error: Nothing was imported, for line 2 of ")
    assert end == ""


@pytest.mark.parametrize("label", ["Exporting", "Importing", "Copying"])
def test_where_there_is_no_terminal_there_is_no_progress(
    label: str, commands: dict[str, list[object]]
) -> None:
    """A log or a pipe gets no bar; `run` fails for anything on standard error."""
    run(*commands[label])


def test_an_export_to_a_terminal_has_no_bar_in_it(path: Path) -> None:
    """Where the lines themselves go to the terminal, they are all that is shown."""
    filled(path, {"team": ["a"]})
    with (
        terminal() as screen,
        process("export", path, stdout=screen.there, stderr=screen.there) as started,
    ):
        assert started.wait(PATIENCE) == 0
        assert screen.drain() == '{"group": "team", "topics": ["a"]}\r\n'
