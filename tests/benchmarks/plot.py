"""A log-log plot as SVG, on a transparent ground, in colours that hold on light and on dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.benchmarks.units import Unit, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WIDTH = 860
_LEFT, _RIGHT = 70, 215  # the ticks stand left of a panel, the names of its lines right of it
_TOP, _BOTTOM = 34, 46
_LINE_HEIGHT = 17

_GREY = "#7a828c"
_COLOURS = (
    "#e5534b",
    "#c77d1e",
    "#9a6fdc",
    "#2f9e6b",
    "#3b8bea",
    "#d6589f",
    "#1a9bb0",
    "#8a8f3a",
    _GREY,
)

# The lines differ in their marks and their dashes as well: colour alone is not for everyone.
_MARKS = (
    "M-4,-4H4V4H-4Z",
    "M0,-5L5,4H-5Z",
    "M0,-6L5,0L0,6L-5,0Z",
    "M0,5L5,-4H-5Z",
    "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0Z",
    "M-5,-2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z",
    "M-5,0L0,-3L5,0L0,3Z",
    "M-2.5,-6H2.5V6H-2.5Z",
    "M-6,-1.5H6V1.5H-6Z",
)
_DASHES = ("none", "7 3", "2 3", "none", "none", "9 3 2 3", "4 4", "12 4", "1 4")


@dataclass(frozen=True)
class Series:
    """A line: a value for each place on the x axis."""

    label: str
    values: list[float]


@dataclass(frozen=True)
class Panel:
    """Lines that share a y axis."""

    title: str
    unit: Unit
    height: int
    series: list[Series]


def draw(places: Sequence[int], x_title: str, panels: Sequence[Panel]) -> str:
    """Return the panels, one below the other, as an SVG file."""
    parts = []
    top = 0
    for panel in panels:
        parts += [f'<g transform="translate(0 {top})">', *_Drawing(places, x_title, panel), "</g>"]
        top += panel.height + _TOP + _BOTTOM
    described = ", ".join(series.label for panel in panels for series in panel.series)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" '
        f'width="{_WIDTH}" height="{top}" font-family="sans-serif" font-size="13" role="img">'
    )
    title = f"<title>{escape(f'{described}, by {x_title}')}</title>"
    return "\n".join([head, title, *parts, "</svg>\n"])


class _Drawing:
    """One panel, as the lines of its SVG."""

    def __init__(self, places: Sequence[int], x_title: str, panel: Panel) -> None:
        self._places, self._x_title, self._panel = places, x_title, panel
        values = [value for series in panel.series for value in series.values]
        self._low = math.floor(math.log10(min(values)))
        self._high = max(math.ceil(math.log10(max(values))), self._low + 1)

    def __iter__(self) -> Iterator[str]:
        yield from self._axes()
        labels_at = self._spread_labels()
        for number, series in enumerate(self._panel.series):
            yield from self._line(number, series, labels_at[number])

    def _x(self, place: int) -> float:
        first, last = math.log10(self._places[0]), math.log10(self._places[-1])
        share = (math.log10(place) - first) / (last - first) if last > first else 1.0
        return _LEFT + 20 + share * (_WIDTH - _LEFT - _RIGHT - 40)

    def _y(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return _TOP + self._panel.height * (1 - share)

    def _axes(self) -> Iterator[str]:
        bottom, right = _TOP + self._panel.height, _WIDTH - _RIGHT
        yield _text(_LEFT, _TOP - 14, self._panel.title, weight="bold")
        for power in range(self._low, self._high + 1):
            y = self._y(10.0**power)
            yield (
                f'<path d="M{_LEFT},{y:.1f}H{right}" stroke="{_GREY}" stroke-opacity="0.35" '
                'fill="none"/>'
            )
            yield _text(_LEFT - 8, y + 4, _tick(power, self._panel.unit), anchor="end")
        for place in self._places:
            yield _text(self._x(place), bottom + 20, f"{place:,}", anchor="middle")
        yield _text((_LEFT + right) / 2, bottom + 38, self._x_title, anchor="middle")

    def _line(self, number: int, series: Series, label_at: float) -> Iterator[str]:
        colour = _COLOURS[number % len(_COLOURS)]
        dashes, mark = _DASHES[number % len(_DASHES)], _MARKS[number % len(_MARKS)]
        points = [
            (self._x(place), self._y(value))
            for place, value in zip(self._places, series.values, strict=True)
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield (
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dashes}"/>'
        )
        x, y = points[-1]
        name_at = _WIDTH - _RIGHT + 26
        for mark_x, mark_y in (*points, (name_at, label_at)):
            yield (
                f'<path d="{mark}" transform="translate({mark_x:.1f} {mark_y:.1f})" '
                f'fill="{colour}"/>'
            )
        yield (
            f'<path d="M{x + 8:.1f},{y:.1f}L{name_at - 9},{label_at:.1f}" stroke="{colour}" '
            'stroke-opacity="0.5" fill="none"/>'
        )
        yield _text(name_at + 11, label_at + 4.5, series.label, fill=colour)

    def _spread_labels(self) -> list[float]:
        """Return where the name of each line stands: near its end, and clear of the others."""
        ends = [self._y(series.values[-1]) for series in self._panel.series]
        order = sorted(range(len(ends)), key=ends.__getitem__)
        found = list(ends)
        for above, below in pairwise(order):
            found[below] = max(found[below], found[above] + _LINE_HEIGHT)
        lowest = _TOP + self._panel.height
        for below, above in pairwise(order[::-1]):
            found[below] = min(found[below], lowest)
            found[above] = min(found[above], found[below] - _LINE_HEIGHT)
        return found


def _tick(power: int, unit: Unit) -> str:
    number, suffix = shown(10.0**power * 1.000001, unit).split(" ")
    return f"{float(number.replace(',', '')):g} {suffix}"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
    fill: str = _GREY,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{fill}">{escape(text)}</text>'
    )
