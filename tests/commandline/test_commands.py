"""The command line as a whole: its commands and options, its help, and how it ends."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import beryl_groups
from beryl_groups import figures, lookout
from beryl_groups.cli import main
from tests.commandline.running import call, filled, in_bash, misuse, process, refusal, run
from tests.processes import PATIENCE, in_thread, wait_until

if TYPE_CHECKING:
    from beryl_groups import Groups

README = Path(__file__).parents[2] / "README.md"

COMMANDS = {
    "list": "DB --prefix --counts --json",
    "create": "DB NAME... --if-missing",
    "delete": "DB NAME... --if-exists",
    "rename": "DB OLD NEW",
    "add": "DB GROUP TOPIC... --create",
    "remove": "DB GROUP TOPIC...",
    "set": "DB GROUP TOPIC...",
    "topics": "DB GROUP --json",
    "groups-of": "DB TOPIC --json",
    "watch": "DB --prefix --once --json",
    "broadcast": "DB GROUP EVENT [PAYLOAD-JSON] "
    "--to --exclude --timeout --cafile --cert --key --server-name --json",
    "export": "DB",
    "import": "DB FILE",
    "backup": "DB FILE",
    "restore": "DB BACKUP",
    "check": "DB --json",
    "upgrade": "DB --backup",
    "stats": "DB --json",
    "demo": "[DB]",
}


def parameters(command: click.Command) -> list[click.Parameter]:
    return [each for each in command.params if not getattr(each, "hidden", False)]


def shown(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else str(parameter.metavar)


def section() -> str:
    """Return what the README says of the command line."""
    text = README.read_text(encoding="utf-8")
    found = re.search(r"^## Command line\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_commands_and_their_parameters_are_these() -> None:
    """A command, an argument or an option comes or goes only together with this table."""
    found = {
        name: " ".join(map(shown, parameters(command))) for name, command in main.commands.items()
    }

    assert found == COMMANDS
    assert main.list_commands(click.Context(main)) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_has_every_command_and_option(name: str) -> None:
    """The README shows how each command is called, with each of its options."""
    (line,) = re.findall(rf"^\| `{name} (.+?)` \|", section(), re.MULTILINE)

    for parameter in parameters(main.commands[name]):
        assert shown(parameter).strip("[]").removesuffix("...") in line


def test_the_readme_has_the_options_of_the_program() -> None:
    """The README names the options that every command and the program itself have."""
    assert "`--help`" in section()
    for parameter in parameters(main):
        assert f"`{shown(parameter)}`" in section()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_of_every_command_has_an_example_that_works(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--help` says what the command does and gives an example, which prints what it shows."""
    monkeypatch.chdir(tmp_path)
    if name:
        filled(Path("groups.db"), {"team:design": ["room:fonts", "room:icons"]})
        run("create", "groups.db", {"delete": "team:ops"}.get(name, "team:engineering"))
        Path("groups.jsonl").write_bytes(run("export", "groups.db").raw)
    if name == "rename":
        run("create", "groups.db", "team:web")
    if name == "watch":
        in_thread(add_once_it_is_watched)

    text = run(*name.split(), "--help").output

    assert text.startswith(f"Usage: beryl-groups {name}".rstrip())
    example = re.search(r"\n\n  Example:\n    \$ beryl-groups (.+)\n((?:    .+\n)*)\Z", text)
    assert example
    if re.search("[>&]", example[1]):
        done = in_bash(f"beryl-groups {example[1]}", tmp_path)
        assert (done.status, done.raw) == (0, b"")
    else:
        done = call(*shlex.split(example[1]))
        assert done.status == 0
    if example[2]:
        assert done.output == re.sub("^    ", "", example[2], flags=re.MULTILINE)


def add_once_it_is_watched() -> None:
    wait_until(is_watched)
    with beryl_groups.start("groups.db") as groups:
        groups.add("team:design", "room:colours")


def is_watched() -> bool:
    """Tell whether the watch of this test has begun; one that another has left is none."""
    with suppress(RuntimeError):  # it comes to be at this very moment
        return any(
            feed.begun and not feed.ended
            for each in list(lookout._lookouts)
            if each.engine.shown == "groups.db" and each.engine.closed is None
            for feed in list(each._feeds)
        )
    return False


def test_the_program_tells_its_version() -> None:
    """`--version` gives the version that is installed."""
    assert run("--version").output == f"beryl_groups {metadata.version('beryl_groups')}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("nonsense", "No such command 'nonsense'"),
        ("list", "Missing argument 'DB'"),
        ("list groups.db --nonsense", "No such option"),
        ("list groups.db more", "Got unexpected extra argument (more)"),
        ("create groups.db", "Missing argument 'NAME...'"),
        ("add groups.db team", "Missing argument 'TOPIC...'"),
        ("set groups.db team", "Missing argument 'TOPIC...'"),
        ("add groups.db team - -", "Standard input can be read once"),
        ("broadcast groups.db team", "Missing argument 'EVENT'"),
        ("backup groups.db -", "A backup is a file"),
    ],
)
def test_wrong_usage_is_told_with_the_status_2(
    arguments: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that is called wrongly says what is wrong, changes nothing and ends with 2."""
    monkeypatch.chdir(tmp_path)
    filled(Path("groups.db"), {"team": ["a"]})

    assert misuse(*shlex.split(arguments)).startswith(sentence)

    assert [each.name for each in tmp_path.iterdir()] == ["groups.db"]
    assert run("export", "groups.db").output == '{"group": "team", "topics": ["a"]}\n'


def test_the_program_and_the_module_are_the_same(path: Path, groups: Groups) -> None:
    """`beryl-groups` and `python -m beryl_groups` do the same, in processes of their own."""
    groups.create("team")
    for command in ([], [sys.executable, "-m", "beryl_groups"]):
        if command:
            done = subprocess.run(
                [*command, "list", path], capture_output=True, check=False, timeout=PATIENCE
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, b"team\n", b"")
        else:
            with process("list", path) as started:
                assert started.communicate(timeout=PATIENCE) == (b"team\n", b"")
            assert started.returncode == 0


def test_the_library_does_without_click() -> None:
    """An application that imports the package does not pay for the command line."""
    program = "import sys, beryl_groups; sys.exit('click' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("error", [ZeroDivisionError("division\nby zero"), OSError(5, "I/O")])
def test_even_a_fault_of_the_program_is_a_sentence(
    path: Path, groups: Groups, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody has foreseen ends with 1 and a line to report it by, and no traceback."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(figures, "figures", fail)

    sentence = refusal("stats", path)

    assert type(error).__name__ in sentence
    assert ("division by zero" in sentence) == (type(error) is ZeroDivisionError)


def test_a_sentence_of_several_lines_is_put_into_one(path: Path, groups: Groups) -> None:
    """A name with a line break cannot break the sentence that refuses it."""
    assert refusal("delete", path, "two\nlines") == "There is no group 'two\\nlines'."


def test_without_a_command_the_help_is_shown() -> None:
    """The program alone shows which commands there are."""
    done = call()

    assert all(f"\n  {name} " in done.output + done.errors for name in COMMANDS)
