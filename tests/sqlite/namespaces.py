"""Mounts of a test's own, in a mount namespace that ends with it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.processes import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path


@cache
def _reason() -> str:
    """Say why there can be no namespace here, or nothing."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return "mount namespaces are Linux's, by the program unshare"
    if os.getuid() != 0:
        return "only root may mount"
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "a mount namespace is denied here"


needs_mounts = pytest.mark.skipif(bool(_reason()), reason=_reason() or "it can be had")


def python_with_mounts(script: str, *arguments: Path, mounts: str) -> str:
    """Run Python where `mounts`, lines of a shell, have been done, and return what it prints.

    The arguments are ``$1`` and so on to the shell, and ``sys.argv`` to the script.
    """
    lines = ["set -e", "mount --make-rprivate /", mounts, "cd /"]
    python = [sys.executable, "-B", "-W", "ignore", "-c", script, *map(str, arguments)]
    lines.append(f"exec {shlex.join(python)}")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", "\n".join(lines), "sh", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
