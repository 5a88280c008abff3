"""Completion in bash, zsh and fish: commands, options, and the names of the given database."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest

from beryl_groups.commandline.completion import VARIABLE
from tests.commandline.running import call, environment, filled, terminal
from tests.commandline.test_commands import COMMANDS
from tests.documents.reading import COMMANDLINE, completion
from tests.processes import PATIENCE, for_ci
from tests.sqlite.opening import everything

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = ["bash", "zsh", "fish"]
BREAKS = " \t\n\"'><=;|&(:"  # what COMP_WORDBREAKS is

GROUPS = {
    "team:design": ["room:fonts", "room:big one", "shared"],
    "team:web": ["room:css", "shared"],
    "team:two words": [],
    "it's": [],
    "a,b": [],
    "$HOME": [],
    "two\nlines": ["control\x1b"],
}


@pytest.fixture
def database(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database in the current folder, which is the home, too."""
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("HOME", str(path.parent))
    return filled(path, GROUPS)


def completed(typed: str, monkeypatch: pytest.MonkeyPatch, shell: str = "zsh") -> list[str]:
    """Ask as the script of the shell does, and return what it would offer."""
    words = typed.split(" ")
    monkeypatch.setenv(VARIABLE, f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words) - 1))
    monkeypatch.setenv("_BERYL_GROUPS_LINE", typed)
    monkeypatch.setenv("_BERYL_GROUPS_BREAKS", BREAKS)
    done = call()
    assert (done.status, done.errors) == (0, "")
    if shell == "zsh":
        return done.lines[1::3]
    return [line.partition(",")[2] for line in done.lines if line]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_gets_a_script(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable with the name of a shell gives the script for it."""
    monkeypatch.setenv(VARIABLE, f"{shell}_source")

    done = call()

    assert (done.status, done.errors) == (0, "")
    assert f"{VARIABLE}={shell}_complete" in done.output


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first word is a command."""
    found = completed("beryl-groups ", monkeypatch, shell)
    assert [each.split("\t")[0] for each in found] == list(COMMANDS)
    assert [each.split("\t")[0] for each in completed("beryl-groups e", monkeypatch, shell)] == [
        "export"
    ]


GROUP_NAMES = sorted(name for name in GROUPS if "\n" not in name)
TOPIC_NAMES = ["room:big one", "room:css", "room:fonts", "shared"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("topics groups.db ", GROUP_NAMES),
        ("topics groups.db team:", ["team:design", "team:two words", "team:web"]),
        ("topics ./groups.db team:w", ["team:web"]),
        ("topics ~/groups.db team:w", ["team:web"]),
        ("topics $HOME/groups.db team:w", ["team:web"]),
        ("topics --json groups.db a", ["a,b"]),
        ("list groups.db --prefix team:w", ["team:web"]),
        ("list groups.db --prefix=team:w", ["--prefix=team:web"]),
        ("delete groups.db a,b team:w", ["team:web"]),
        ("rename groups.db team:w", ["team:web"]),
        ("rename groups.db team:web ", []),
        ("create groups.db ", []),
        ("add groups.db team:d", ["team:design"]),
        ("add groups.db team:web ", TOPIC_NAMES),
        ("add groups.db team:web room:f", ["room:fonts"]),
        ("set groups.db team:web shared room:c", ["room:css"]),
        ("remove groups.db team:web ", ["room:css", "shared"]),
        ("remove groups.db nobody ", []),
        ("groups-of groups.db room:", TOPIC_NAMES[:3]),
        ("broadcast groups.db team:w", ["team:web"]),
        ("broadcast groups.db team:web deploy --exclude ", ["room:css", "shared"]),
        ("topics missing.db ", []),
        ("topics sqlite:///groups.db team:w", ["team:web"]),
        ("list groups.db --co", ["--counts"]),
        ("list groups.db --json --co", ["--counts"]),
        ("topics groups.db --json team:w", ["team:web"]),
        ("topics groups.db -- team:w", ["team:web"]),
        ("broadcast --t", ["--to", "--timeout"]),
    ],
)
def test_names_of_the_database_are_completed(
    typed: str, offered: list[str], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups and topics are those of the database in the line; nothing is made or changed."""
    before = everything(database.parent)

    assert completed(f"beryl-groups {typed}", monkeypatch) == offered

    assert everything(database.parent) == before


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("typed", ["list ", "import groups.db ", "upgrade x --backup "])
def test_files_are_left_to_the_shell(
    typed: str, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file is expected the shell is told to complete files as it does."""
    monkeypatch.setenv(VARIABLE, f"{shell}_complete")
    completed(f"beryl-groups {typed}", monkeypatch, shell)

    assert call().output.replace("\n", ",").startswith("file,")


@pytest.mark.parametrize(
    ("typed", "added"),
    [
        ("topics groups.db ", [r"\$HOME", r"a,b", r"it\'s", "team:design", r"team:two\ words"]),
        ("topics groups.db team:tw", [r"two\ words"]),
        (r"topics groups.db team\:tw", [r"team:two\ words"]),
        ("topics groups.db 'team:tw", ["team:two words"]),
        ('topics groups.db "team:tw', ["team:two words"]),
        ("topics groups.db it\\'", [r"it\'s"]),
        ("topics groups.db 'i", [r"it'\''s"]),
        ('topics groups.db "$H', [r"\$HOME"]),
        ('topics groups.db "', [r"\$HOME", "a,b", "it's", "team:design", "team:two words"]),
        ("topics 'groups.db' te", ["team:design", r"team:two\ words"]),
        ('topics groups.db ""te', ["team:design", r"team:two\ words"]),
        ("list groups.db --prefix=te", ["team:design", r"team:two\ words"]),
    ],
)
def test_bash_gets_what_it_has_to_add(
    typed: str, added: list[str], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What bash inserts goes on after the last colon, and is quoted as the user has begun to."""
    found = completed(f"beryl-groups {typed}", monkeypatch, "bash")

    assert [each for each in found if not each.endswith("web")] == added


CASES = {
    "topics groups.db team:de\t": "topics groups.db team:design",
    "topics groups.db team:tw\t": "topics groups.db team:two words",
    "topics groups.db 'team:tw\t": "topics groups.db team:two words",
    "topics groups.db it\t": "topics groups.db it's",
    "topics groups.db a\t": "topics groups.db a,b",
    "list groups.db --prefix=team:de\t": "list groups.db --prefix=team:design",
    "remove groups.db team:web room:\t": "remove groups.db team:web room:css",
    "groups-of groups.db room:b\t": "groups-of groups.db room:big one",
    "list groups.db --prefix team:de\t": "list groups.db --prefix team:design",
    "bro\tgroups\tteam:w\tevent": "broadcast groups.db team:web event",
}

START = {
    "bash": (["bash", "--norc", "--noprofile"], ""),
    "zsh": (["zsh", "-f"], "autoload -Uz compinit; compinit -u; "),
}
PROMPT = "@> "


@pytest.mark.parametrize(
    "shell", [pytest.param("bash", marks=pytest.mark.slow), pytest.param("zsh", marks=for_ci)]
)
def test_a_real_shell_completes(shell: str, database: Path) -> None:
    """In a shell that has run the line of the document the tab key completes all there is."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    program, before = START[shell]
    with terminal() as screen:
        started = spawn(program, screen.there, database.parent)
        try:
            screen.wait_for(PROMPT)
            # Typed so that the answer does not stand in the line itself.
            screen.type(f"{before}{completion(COMMANDLINE)[shell]}; echo rea''dy\r")
            screen.wait_for("ready\r")
            for typed, meant in CASES.items():
                screen.wait_for(PROMPT)
                screen.forget()
                # Ctrl-A, and the line is not run but shown as the shell would hand it over.
                screen.type(f"beryl-groups {typed}\x01printf '%s ' '<''<' \x05 '>''>'\r")
                screen.wait_for(">> ")
                (line,) = re.findall(r"<< (beryl-groups .*?) >> ", screen.shown)
                assert line == f"beryl-groups {meant}"
        finally:
            started.kill()
            started.wait(PATIENCE)


@for_ci
def test_a_real_fish_completes(database: Path) -> None:
    """So it is in fish, which tells without a terminal what it would offer."""
    if shutil.which("fish") is None:
        pytest.skip("needs fish")
    cases = {typed.rstrip("\t"): meant for typed, meant in CASES.items() if typed.count("\t") == 1}
    lines = "\n".join(f'complete -C "beryl-groups {typed}"; echo ---' for typed in cases)
    script = f"{completion(COMMANDLINE)['fish']}\n{lines}\n"
    done = subprocess.run(
        ["fish", "--no-config"],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        cwd=database.parent,
        env=environment(HOME=str(database.parent)),
        timeout=PATIENCE,
    )
    offered = [part.split("\n")[:-1] for part in done.stdout.split("---\n")[:-1]]
    assert len(offered) == len(cases)
    for names, (typed, meant) in zip(offered, cases.items(), strict=True):
        assert any(meant.endswith(f" {name}") for name in names), (typed, names)


def spawn(program: list[str], on: int, home: Path) -> subprocess.Popen[bytes]:
    """Start a shell on a terminal of its own."""
    return subprocess.Popen(
        program,
        stdin=on,
        stdout=on,
        stderr=on,
        cwd=home,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread
        env=environment(TERM="dumb", HOME=str(home), PS1=PROMPT, INPUTRC="/dev/null"),
    )
