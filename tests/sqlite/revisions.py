"""Migrations of tests: the released ones, and one more behind them that a test brings."""

from __future__ import annotations

import secrets
import shutil
import sys
import textwrap
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from beryl_groups import migrating, revisions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEXT = "9999"
RELEASED = revisions.HEAD

_REVISION = '''
"""A revision of a test."""

import os
import signal

import sqlalchemy as sa

revision = {revision!r}
down_revision = {down_revision!r}


def upgrade(op):
{upgrade}
'''


def with_next(folder: Path, upgrade: str) -> Path:
    """Copy the migrations into a package of its own, and add a revision that does `upgrade`."""
    package = folder / f"migrations_{secrets.token_hex(4)}"
    with resources.as_file(resources.files("beryl_groups.migrations")) as released:
        shutil.copytree(released, package, ignore=shutil.ignore_patterns("__pycache__"))
    body = textwrap.indent(textwrap.dedent(upgrade).strip(), "    ")
    text = _REVISION.format(revision=NEXT, down_revision=revisions.HEAD, upgrade=body)
    (package / "versions" / f"{NEXT}_next.py").write_text(text)
    return package


@contextmanager
def installed(package: Path | None) -> Iterator[None]:
    """Have this process know the revision of `with_next`, if any, for the length of the block."""
    if package is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package.parent)
        patch.setattr(migrating, "SCRIPTS", package.name)
        patch.setattr(revisions, "REVISIONS", (*revisions.REVISIONS, NEXT))
        patch.setattr(revisions, "HEAD", NEXT)
        yield
    sys.modules.pop(package.name, None)
