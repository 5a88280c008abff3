"""How numbers are printed."""

from __future__ import annotations

from enum import Enum


class Unit(Enum):
    """What a number counts."""

    SECONDS = "seconds"
    BYTES = "bytes"
    PER_SECOND = "calls per second"


_SCALES = {
    Unit.SECONDS: ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    Unit.BYTES: ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")),
    Unit.PER_SECOND: ((1, "/s"),),
}


def shown(value: float, unit: Unit) -> str:
    """Return a number with three digits that count, and its unit."""
    scales = _SCALES[unit]
    scale, suffix = next((each for each in scales if value >= each[0]), scales[-1])
    value /= scale
    digits = max(0, 2 - len(str(int(value))) + 1)
    return f"{value:,.{digits}f}" + ("" if suffix.startswith("/") else " ") + suffix
