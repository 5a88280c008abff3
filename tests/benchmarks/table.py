"""The table that is printed: what was measured, beside the limits of the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.contender import Ours
from tests.benchmarks.raw import Raw
from tests.benchmarks.units import Unit, shown

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence


@dataclass(frozen=True)
class Row:
    """One kind of work, and how everyone did."""

    work: str
    unit: Unit
    results: dict[str, float]
    limit: float
    """What the ratio may be at most; at least, if calls per second are counted."""
    against: str | None = Raw.name
    """Whom the ratio refers to; None where the limit is a number in the row's unit."""
    durable: bool = False
    """Whether the work has to survive a power cut, which not everyone does."""

    @property
    def more_is_better(self) -> bool:
        return self.unit is Unit.PER_SECOND

    @property
    def held(self) -> bool:
        figure = self.results[Ours.name] if self.against is None else self.ratio(Ours.name)
        return figure >= self.limit if self.more_is_better else figure <= self.limit

    def ratio(self, name: str) -> float:
        return self.results[name] / self.results[self.against or Ours.name]

    def cell(self, name: str) -> str:
        if name not in self.results:
            return "-"
        ratio = self.ratio(name)
        digits = 0 if ratio >= 10 else 2
        return f"{shown(self.results[name], self.unit)} ({ratio:.{digits}f})"

    def ahead(self) -> list[str]:
        """Return who does better than the library."""
        sign = -1 if self.more_is_better else 1
        best = sign * self.results[Ours.name]
        return [name for name, figure in self.results.items() if sign * figure < best]


def held_to_limits(rows: Iterable[Row], *, judged: bool) -> str:
    """Return the table of the library's limits."""
    lines = ["| work | beryl_groups | against | ratio | limit | |", "|---|---|---|---|---|---|"]
    for row in rows:
        comparison = "at least" if row.more_is_better else "at most"
        verdict = "" if not judged else "held" if row.held else "**missed**"
        ours = shown(row.results[Ours.name], row.unit)
        if row.against is None:
            against, ratio, limit = "", "", shown(row.limit, row.unit)
        else:
            against = f"{row.against}: {shown(row.results[row.against], row.unit)}"
            ratio, limit = f"{row.ratio(Ours.name):.3g}", f"{row.limit:g}"
        cells = (row.work, ours, against, ratio, f"{comparison} {limit}", verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def side_by_side(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return the table of all who did the work; in brackets the ratio of the table of limits."""
    lines = [f"| work | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        cells = [row.cell(name) for name in names]
        lines.append(f"| {row.work} | {' | '.join(cells)} |")
    return "\n".join(lines)


def who_is_ahead(rows: Iterable[Row], not_durable: Container[str]) -> str:
    """Return, for each work, who does better than the library."""
    lines = []
    for row in rows:
        names = [
            f"{name} (not durable)" if row.durable and name in not_durable else name
            for name in row.ahead()
        ]
        lines.append(f"- {row.work}: {', '.join(names) or 'nobody'}")
    return "\n".join(lines)
