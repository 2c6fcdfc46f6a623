"""A comparison as a table: for people, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.comparing.groups import Comparison, Row
from experiments.comparing.statistics import Spread

ABSENT = "-"


@dataclass(frozen=True)
class Column:
    """A metric in the table: its name, its title, and how its spread over seeds is written."""

    metric: str
    title: str
    show: Callable[[Spread], str]


def percent(value: Spread) -> str:
    """An accuracy: '91.2 ± 1.0 %'."""
    return f"{100 * value.mean:.1f}{_sd(value, 100)} %"


def points(value: Spread) -> str:
    """A difference of accuracies in points: '+0.4 ± 0.2'."""
    return f"{100 * value.mean:+.1f}{_sd(value, 100)}"


def decimal(value: Spread) -> str:
    """Two decimals: '0.52 ± 0.10'."""
    return f"{value.mean:.2f}{_sd(value, 1, 2)}"


def whole(value: Spread) -> str:
    """The mean alone, as a whole number."""
    return f"{value.mean:,.0f}"


def tera(value: Spread) -> str:
    """The mean alone, in units of 10^12."""
    return f"{value.mean / 1e12:,.2f}"


def _sd(value: Spread, scale: float, decimals: int = 1) -> str:
    return "" if value.sd is None else f" ± {scale * value.sd:.{decimals}f}"


@dataclass(frozen=True)
class Table:
    """The columns of a comparison, less those that no run has a number for."""

    comparison: Comparison
    columns: Sequence[Column]

    @property
    def shown(self) -> list[Column]:
        """The columns with numbers in them."""
        return [column for column in self.columns if column.metric in self.comparison.metrics]

    def head(self) -> list[str]:
        """Titles, in the order of `cells`."""
        layers = ["stability", "layers of each seed"] if self.comparison.chooses_layers else []
        return ["", "runs", *(column.title for column in self.shown), *layers]

    def cells(self, row: Row) -> list[str]:
        """A row as people read it."""
        failed = f", {len(row.failures)} failed" if row.failures else ""
        cells = [row.group, f"{row.runs}{failed}"]
        for column in self.shown:
            value = row.numbers.get(column.metric)
            cells.append(ABSENT if value is None else column.show(value))
        if self.comparison.chooses_layers:
            sets = [" ".join(map(str, chosen)) or "none" for chosen in row.layers.values()]
            cells += [ABSENT if row.stability is None else f"{row.stability:.2f}", "; ".join(sets) or ABSENT]
        return cells

    def csv(self) -> str:
        """A line a group and condition: mean, sd and 95 % interval of each number."""
        return to_csv([self._line(row) for row in self.comparison.rows])

    def _line(self, row: Row) -> dict[str, Any]:
        line = {"group": row.group, "condition": row.condition, "runs": row.runs, "failed": len(row.failures)}
        numbers = {
            f"{column.metric}_{part}": getattr(row.numbers.get(column.metric), part, None)
            for column in self.shown
            for part in ("mean", "sd", "low", "high")
        }
        return {**line, **numbers, "stability": row.stability}

    def runs_csv(self) -> str:
        """A line a run."""
        return to_csv(
            [
                {
                    "group": record.group,
                    "condition": record.condition,
                    "seed": record.seed,
                    **{column.metric: (record.metrics or {}).get(column.metric) for column in self.shown},
                    "layers": " ".join(map(str, (record.metrics or {}).get("layers") or ())),
                    "failure": record.failure,
                }
                for record in self.comparison.records
            ]
        )


def to_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """CSV with the keys of the first line as its header; None is an empty field."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()
