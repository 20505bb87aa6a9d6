"""Samples, their figures, and the table that shows them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """The most that is allowed at the median, and at the 95th percentile; None where no limit is
    set. Of a row of which most is best, the least."""

    emulated: float | None
    kvm: float | None
    p95: float | None = None

    def under(self, isolation: str) -> float | None:
        return self.kvm if isolation == "kvm" else self.emulated


@dataclass
class Row:
    """One thing measured.

    `samples` are in `unit`. Where `most_is_best` the unit is a speed, and the percentiles are taken
    from the slow end, so that p95 is always the bad side.
    """

    name: str
    unit: str
    samples: Sequence[float]
    target: Target | None = None
    most_is_best: bool = False
    note: str = ""

    def percentile(self, percent: float) -> float:
        """Nearest rank."""
        ordered = sorted(self.samples, reverse=self.most_is_best)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]

    @property
    def median(self) -> float:
        return self.percentile(50)

    def meets_target(self, isolation: str) -> bool | None:
        limit = self.limit(isolation)
        if limit is None:
            return None
        if self.most_is_best:
            return self.median >= limit
        tail = self.limit_of_tail(isolation)
        return self.median <= limit and (tail is None or self.percentile(95) <= tail)

    def limit(self, isolation: str) -> float | None:
        return self.target.under(isolation) if self.target else None

    def limit_of_tail(self, isolation: str) -> float | None:
        """That of p95, which is set only where the median has a limit too."""
        return self.target.p95 if self.target and self.limit(isolation) is not None else None

    def as_json(self, isolation: str) -> dict[str, object]:
        return {
            "name": self.name,
            "unit": self.unit,
            "median": round(self.median, 4),
            "p95": round(self.percentile(95), 4),
            "p99": round(self.percentile(99), 4),
            "n": len(self.samples),
            "target": self.limit(isolation),
            "target_p95": self.limit_of_tail(isolation),
            "met": self.meets_target(isolation),
            "note": self.note,
        }


HEAD = ("unit", "median", "p95", "p99", "n", "target", "met")


@dataclass
class Report:
    """All rows of a run, in sections."""

    isolation: str
    host: str
    date: str
    sections: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, section: str, row: Row) -> None:
        self.sections.setdefault(section, []).append(row)

    def row(self, section: str, name: str) -> Row | None:
        """The first of this name, if it was measured."""
        rows = self.sections.get(section, ())
        return next((row for row in rows if row.name == name), None)

    def table_of(self, names: Sequence[str]) -> str:
        """One table of these rows, in this order; the first of each name."""
        rows = [row for rows in self.sections.values() for row in rows]
        return self._table("", [next(row for row in rows if row.name == name) for name in names])

    def tables(self) -> str:
        """Markdown with aligned columns, so that it reads well in a terminal too."""
        return "\n\n".join(self._table(title, rows) for title, rows in self.sections.items())

    def _table(self, title: str, rows: Sequence[Row]) -> str:
        lines = [(title, *HEAD), *(self._cells(row) for row in rows)]
        widths = [max(3, *(len(line[at]) for line in lines)) for at in range(len(lines[0]))]

        def joined(cells: Sequence[str]) -> str:
            first = cells[0].ljust(widths[0])
            rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))
            return "| " + " | ".join((first, *rest)) + " |"

        right = ("-" * (width - 1) + ":" for width in widths[1:])
        ruler = "| " + " | ".join(["-" * widths[0], *right]) + " |"
        return "\n".join([joined(lines[0]), ruler, *(joined(line) for line in lines[1:])])

    def _cells(self, row: Row) -> tuple[str, ...]:
        met = {None: "", True: "yes", False: "NO"}[row.meets_target(self.isolation)]
        limit, tail = row.limit(self.isolation), row.limit_of_tail(self.isolation)
        target = "" if limit is None else f"{'≥' if row.most_is_best else '≤'} {limit:g}"
        target += "" if tail is None else f"; p95 ≤ {tail:g}"
        name = f"{row.name} ({row.note})" if row.note else row.name
        figures = (shown(row.percentile(percent)) for percent in (50, 95, 99))
        return (name, row.unit, *figures, str(len(row.samples)), target, met)

    def caption(self) -> str:
        return f"Isolation: {self.isolation}. Host: {self.host}. {self.date}."

    def as_json(self) -> dict[str, object]:
        return {
            "isolation": self.isolation,
            "host": self.host,
            "date": self.date,
            "rows": [
                {"section": section, **row.as_json(self.isolation)}
                for section, rows in self.sections.items()
                for row in rows
            ],
        }


def shown(value: float) -> str:
    """Three figures that matter, never an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000
