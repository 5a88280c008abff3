"""What can go wrong when an event is sent."""

from __future__ import annotations

from beryl_groups.channels.text import some
from beryl_groups.errors import GroupError


class SendFailed(GroupError):  # noqa: N818 - named as the other errors of the package are
    """A message could not be sent; what the client's library said is the ``__cause__``."""


def ended() -> SendFailed:
    """Return the error of a call that comes when nothing would send its message any more."""
    return SendFailed("The block of connect() has ended.")


def _were(number: int) -> str:
    return "message was" if number == 1 else "messages were"


class Undelivered:
    """The topics whose message a broker has not taken, for each reason."""

    def __init__(self) -> None:
        self._topics: dict[str, list[str]] = {}
        self._cause: BaseException | None = None

    def add(self, reason: str, *topics: str, cause: BaseException | None = None) -> None:
        """Keep the topics, unless there is no reason: then the broker has taken theirs."""
        if reason and topics:
            self._topics.setdefault(reason, []).extend(topics)
            self._cause = self._cause or cause

    def refuse_if_any(self, by: str) -> None:
        """Raise a sentence for each reason."""
        if self._topics:
            sentences = (
                f"{len(topics)} {_were(len(topics))} not {by} (to {some(topics)}): {reason}."
                for reason, topics in self._topics.items()
            )
            raise SendFailed(" ".join(sentences)) from self._cause
