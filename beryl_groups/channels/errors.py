"""What can go wrong when an event is sent."""

from __future__ import annotations

from beryl_groups.errors import GroupError


class SendFailed(GroupError):  # noqa: N818 - named as the other errors of the package are
    """A message could not be sent; what the client's library said is the ``__cause__``."""


def ended() -> SendFailed:
    """Return the error of a call that comes when nothing would send its message any more."""
    return SendFailed("The block of connect() has ended.")
