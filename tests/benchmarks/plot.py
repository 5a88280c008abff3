"""A log-log plot as SVG, on a transparent ground, in colours that hold on light and on dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cycler import cycler
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tests.benchmarks.units import Unit, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_GREY = "#747c86"  # as far from white as from a dark page

# The lines differ in their marks and their dashes as well: colour alone is not for everyone.
_COLOURS = ["#e5534b", "#c2761a", "#9a6fdc", "#2f9e6b", "#3b8bea", "#d6589f", "#1a9bb0", "#8a8f3a"]
_LINES = cycler(color=[*_COLOURS, _GREY], marker=list("s^Dvopd*X"), linestyle=["-", "--", ":"] * 3)

_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.titlecolor", "axes.labelcolor", "grid.color"), _GREY),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), _GREY),
    **dict.fromkeys((f"axes.spines.{side}" for side in ("left", "right", "top")), False),
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.prop_cycle": _LINES,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "grid.alpha": 0.35,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "growth",  # the same figures give the same file
    "ytick.minor.left": False,
}


@dataclass(frozen=True)
class Panel:
    """Lines that share a y axis: under its name, each has a value for each place on the x axis."""

    title: str
    unit: Unit
    height: float
    lines: dict[str, list[float]]


def draw(path: Path, places: Sequence[int], x_title: str, panels: Sequence[Panel]) -> None:
    """Write the panels, one below the other."""
    heights = [panel.height for panel in panels]
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, sum(heights)), layout="constrained")
        rows = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
        for axes, panel in zip(rows, panels, strict=True):
            axes.set(title=panel.title, xlabel=x_title, xscale="log", yscale="log")
            axes.set_xticks(places, [f"{place:,}" for place in places], minor=False)
            axes.xaxis.set_minor_locator(LogLocator(subs=[]))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _, of=panel.unit: shown(y, of)))
            axes.yaxis.set_minor_formatter(NullFormatter())
            # From top to bottom as the lines end, so that the eye finds a name beside its line.
            for name, values in sorted(panel.lines.items(), key=lambda line: -line[1][-1]):
                axes.plot(places, values, label=name)
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), labelcolor="linecolor")
        title = f"{', '.join(panel.title for panel in panels)}, by {x_title}"
        figure.savefig(path, transparent=True, metadata={"Title": title, "Date": None})
