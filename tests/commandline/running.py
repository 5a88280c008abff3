"""The command line for tests: in this process, in processes of its own, and on a terminal."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups.cli import main
from tests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PROGRAM = str(Path(sys.executable).with_name("beryl-groups"))


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    status: int
    raw: bytes
    errors: str

    @property
    def output(self) -> str:
        return self.raw.decode()

    @property
    def lines(self) -> list[str]:
        return self.output.split("\n")[:-1]


def call(*arguments: object, stdin: str | bytes = b"", encoding: str = "utf-8") -> Done:
    """Run a command in this process, with standard streams of its own."""
    raw = stdin.encode() if isinstance(stdin, str) else stdin
    output, errors = io.BytesIO(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in (("stdin", io.BytesIO(raw)), ("stdout", output), ("stderr", errors)):
            patch.setattr(sys, name, io.TextIOWrapper(stream, encoding, write_through=True))
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments], prog_name="beryl-groups")
        code = ended.value.code
        assert isinstance(code, int)
        return Done(code, output.getvalue(), errors.getvalue().decode(encoding))


def run(*arguments: object, stdin: str | bytes = b"", encoding: str = "utf-8") -> Done:
    """Run a command in this process that has to do what it is asked, without a word."""
    done = call(*arguments, stdin=stdin, encoding=encoding)
    assert (done.status, done.errors) == (0, ""), done
    return done


def refusal(*arguments: object, stdin: str | bytes = b"") -> str:
    """Run a command that has to fail, and return its sentence."""
    done = call(*arguments, stdin=stdin)
    assert done.status == 1, done
    assert done.raw == b""
    assert done.errors.startswith("Error: ")
    assert done.errors.count("\n") == 1
    return done.errors.removeprefix("Error: ").removesuffix("\n")


def misuse(*arguments: object, stdin: str | bytes = b"") -> str:
    """Run a command that is called wrongly, and return what it says."""
    done = call(*arguments, stdin=stdin)
    assert done.status == 2, done
    assert done.raw == b""
    usage, sentence = done.errors.split("\nError: ")
    assert usage.startswith("Usage: beryl-groups ")
    return sentence


def environment(**more: str) -> dict[str, str]:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": programs, **more}


def process(
    *arguments: object,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    **more: str,
) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own."""
    command = [PROGRAM, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment(**more)
    )


def in_bash(script: str, folder: Path) -> Done:
    """Run a script in bash, as a user with the package's environment active."""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(),
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


class Terminal:
    """A terminal, and what has been shown on it."""

    def __init__(self) -> None:
        self._here, self.there = pty.openpty()
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Wait until the text is shown, after what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} is not shown, but {self.shown!r}"
            if select.select([self._here], [], [], 0.1)[0]:
                with suppress(OSError):  # all programs have left it
                    self.shown += os.read(self._here, 65536).decode(errors="replace")

    def forget(self) -> None:
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self._here, keys.encode())

    def drain(self) -> str:
        """Return all that is shown, once every program has ended."""
        os.close(self.there)
        self.there = -1
        with suppress(OSError):
            while part := os.read(self._here, 65536):
                self.shown += part.decode(errors="replace")
        return self.shown

    def close(self) -> None:
        os.close(self._here)
        if self.there >= 0:
            os.close(self.there)


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Give a terminal for the length of the block."""
    given = Terminal()
    try:
        yield given
    finally:
        given.close()


def filled(path: Path, contents: Mapping[str, Iterable[str]]) -> Path:
    """Make a database with these groups and topics."""
    with beryl_groups.start(path) as groups, groups.transaction() as transaction:
        for group, topics in contents.items():
            transaction.create(group)
            transaction.set_topics(group, topics)
    return path
