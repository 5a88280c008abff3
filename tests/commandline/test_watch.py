"""The command that shows what changes."""

from __future__ import annotations

import itertools
import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import beryl_groups
from tests.commandline.running import filled, process, refusal
from tests.processes import PATIENCE, in_thread, shell
from tests.sqlite.test_damage import broken_schema

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from beryl_groups import Groups


@contextmanager
def watching(groups: Groups, path: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process watch, and tell of a change to the group "begun" before the block begins."""
    groups.create("begun", exist_ok=True)
    with process("watch", path, *options, PYTHONUNBUFFERED="") as started:
        try:
            first = in_thread(lambda: read_line(started))
            for number in itertools.count():
                if first.done():
                    break
                groups.add("begun", str(number))
            yield started
        finally:
            started.kill()


def read_line(started: subprocess.Popen[bytes]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().decode()


def told(started: subprocess.Popen[bytes]) -> str:
    """Return the next line, which has to come, that is not of the group "begun"."""
    while True:
        line = in_thread(lambda: read_line(started)).result(PATIENCE)
        if "begun" not in line:
            return line


def test_each_change_is_a_line(groups: Groups, path: Path) -> None:
    """What became of it, the group and the topics, at once and with tabs between them."""
    with watching(groups, path) as started:
        groups.create("team")
        assert told(started) == "created\tteam\n"
        groups.add("team", "b", "a", "two\nlines")
        assert told(started) == 'added\tteam\ta\tb\t"two\\nlines"\n'
        groups.rename("team", "crew")
        assert told(started) == "renamed\tcrew\tteam\n"
        shell(path, "DELETE FROM group_topics WHERE topic = 'a'")
        assert told(started) == "removed\tcrew\ta\n"
        groups.delete("crew")
        assert told(started) == 'deleted\tcrew\tb\t"two\\nlines"\n'


def test_each_change_is_json(groups: Groups, path: Path) -> None:
    """With --json a line is an object, whatever a name holds."""
    with watching(groups, path, "--json") as started:
        groups.add("team", "b", "a", create=True)
        assert json.loads(told(started)) == {
            "kind": "created",
            "group": "team",
            "topics": ["a", "b"],
            "old_name": None,
        }
        groups.rename("team", "crew")
        change = json.loads(told(started))
        assert (change["kind"], change["old_name"]) == ("renamed", "team")


def test_groups_with_a_prefix_alone_are_shown(groups: Groups, path: Path) -> None:
    """With --prefix nothing is said of others."""
    with watching(groups, path, "--prefix", "be") as started:
        groups.create("other")
        groups.create("best")
        assert told(started) == "created\tbest\n"


def test_with_once_it_ends_after_the_first_change(groups: Groups, path: Path) -> None:
    """A script goes on when something has changed."""
    with watching(groups, path, "--once") as started:
        _, errors = started.communicate(timeout=PATIENCE)
        assert (started.returncode, errors) == (0, b"")


def test_ctrl_c_ends_it(groups: Groups, path: Path) -> None:
    """It ends as every command does, and says no more than that."""
    with watching(groups, path) as started:
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=PATIENCE)
        assert (started.returncode, errors) == (130, b"Interrupted.\n")


def test_a_reader_that_has_gone_ends_it_silently(groups: Groups, path: Path) -> None:
    """At the next change, as with every other command."""
    with watching(groups, path) as started:
        assert started.stdout is not None
        started.stdout.close()
        while started.poll() is None:
            groups.add("begun", "more")
            groups.remove("begun", "more")
        assert started.returncode == 128 + signal.SIGPIPE
        assert started.stderr is not None
        assert started.stderr.read() == b""


def test_a_file_that_was_moved_ends_it_with_a_sentence(path: Path) -> None:
    """It says so, and ends with 1."""
    with (
        beryl_groups.start(path, busy_timeout=PATIENCE) as groups,
        watching(groups, path) as started,
    ):
        path.rename(path.with_name("kept.db"))
        _, errors = started.communicate(timeout=PATIENCE)
        assert started.returncode == 1
        assert errors.startswith(b"Error: The file ")
        assert errors.count(b"\n") == 1


def test_a_storage_error_is_said_in_a_line_and_it_goes_on(groups: Groups, path: Path) -> None:
    """What was written meanwhile is shown once it can be read again."""
    shell(path, "CREATE TABLE log (line TEXT)")
    with watching(groups, path) as started:
        assert started.stderr is not None
        with broken_schema(path):
            said = in_thread(started.stderr.readline).result(PATIENCE)
        assert said.startswith(b"A watch cannot read, and tries again: The database ")
        groups.create("team")
        assert told(started) == "created\tteam\n"


def test_a_file_that_is_not_there_is_not_made(path: Path) -> None:
    """It watches what there is, and does not migrate."""
    assert "there is no such file" in refusal("watch", path)
    assert not path.exists()
    filled(path, {})
    shell(path, "UPDATE beryl_groups_version SET version_num = '0001'")
    assert "beryl-groups upgrade" in refusal("watch", path)
