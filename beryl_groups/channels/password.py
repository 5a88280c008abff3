"""The user and the password of a URL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from urllib.parse import SplitResult

VARIABLE = "BERYL_GROUPS_PASSWORD"


def user_and_password(url: SplitResult) -> tuple[str | None, str | None]:
    """Return both; for a user without a password that of the environment, where it has one."""
    if url.username is None:
        return None, None
    password = os.environ.get(VARIABLE) if url.password is None else unquote(url.password)
    return unquote(url.username), password
