"""The library broken on purpose, to see that it is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beryl_groups import OutcomeUnknown, StorageFailed
from beryl_groups.groups import Groups
from tests.torture.variants import acknowledges_before_the_commit

if TYPE_CHECKING:
    from collections.abc import Callable


def takes_unknown_for_failed() -> None:
    """A call whose answer was lost says that nothing of it is stored."""
    sound = Groups._write

    def write(self: Groups, operation: Callable[..., Any], *args: Any) -> Any:
        try:
            return sound(self, operation, *args)
        except OutcomeUnknown as error:
            raise StorageFailed(str(error)) from error

    Groups._write = write  # type: ignore[method-assign, assignment]


BROKEN = {
    broken.__name__: broken for broken in (acknowledges_before_the_commit, takes_unknown_for_failed)
}
