"""What every handle is besides its methods: an object, and no value."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex


class Handle:
    """Something that holds what is open in this process, however little it may contain."""

    def __bool__(self) -> bool:
        return True

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        name = type(self).__name__
        article = "An" if name.startswith("A") else "A"
        raise TypeError(
            f"{article} {name} belongs to the process and the place that opened it, and "
            "cannot be pickled or copied: hand over the database, and call start() where it is "
            "needed."
        )
