"""The table of a comparison: for people, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.comparing.groups import METRIC, Comparison, PairedTest, Row
from experiments.comparing.statistics import Spread
from spt.architecture import layers_text
from spt.metrics import TITLES

ABSENT = "-"
LAYERS_TITLE = "layers of each seed"


@dataclass(frozen=True)
class Column:
    """A number of the runs in the table.

    Args:
        key: under which the runs have it.
        title: in which {metric} stands for the title of the task's metric.
        show: writes its spread over seeds.
    """

    key: str
    title: str
    show: Callable[[Spread], str]


def percent(value: Spread) -> str:
    """Write a fraction: '91.2 ± 1.0 %'."""
    return f"{100 * value.mean:.1f}{_sd(value, 100)} %"


def points(value: Spread) -> str:
    """Write a difference of fractions in points: '+0.4 ± 0.2'."""
    return f"{100 * value.mean:+.1f}{_sd(value, 100)}"


def decimal(value: Spread) -> str:
    """Write two decimals: '0.52 ± 0.10'."""
    return f"{value.mean:.2f}{_sd(value, 1, 2)}"


def whole_number(value: Spread) -> str:
    """Write the mean alone, rounded."""
    return f"{value.mean:,.0f}"


def tera(value: Spread) -> str:
    """Write the mean alone, in units of 10^12."""
    return f"{value.mean / 1e12:,.2f}"


def _sd(value: Spread, scale: float, decimals: int = 1) -> str:
    return "" if value.sd is None else f" ± {scale * value.sd:.{decimals}f}"


TEST_TITLES = ("", "pairs", "difference in points", "p", "p by Holm")


def cells_of_test(test: PairedTest) -> list[str]:
    """Write a test for people, in the order of TEST_TITLES."""
    numbers = (f"{100 * test.difference:+.1f}", f"{test.p:.3f}", f"{test.adjusted:.3f}")
    return [test.group, str(test.pairs), *numbers]


@dataclass(frozen=True)
class ComparisonTable:
    """The columns of a comparison, less those that no run has a number for."""

    comparison: Comparison
    columns: Sequence[Column]

    @property
    def shown(self) -> list[Column]:
        """List the columns with numbers in them."""
        return [column for column in self.columns if column.key in self.comparison.keys]

    def head(self, condition: str) -> list[str]:
        """Return the titles on a condition, in the order of `cells`."""
        metric = TITLES[self.comparison.metric_on(condition)]
        layers = ["stability", LAYERS_TITLE] if self.comparison.chooses_layers else []
        return ["", "runs", *(column.title.format(metric=metric) for column in self.shown), *layers]

    def cells(self, row: Row) -> list[str]:
        """Write a row for people."""
        failed = f", {len(row.failures)} failed" if row.failures else ""
        cells = [row.group, f"{row.runs}{failed}"]
        for column in self.shown:
            value = row.numbers.get(column.key)
            cells.append(ABSENT if value is None else column.show(value))
        if self.comparison.chooses_layers:
            sets = [layers_text(chosen, row.kinds.get(seed, ()), " ") for seed, chosen in row.layers.items()]
            cells += [ABSENT if row.stability is None else f"{row.stability:.2f}", "; ".join(sets) or ABSENT]
        return cells

    def csv(self) -> str:
        """Write a line a group and condition: mean, sd and 95 % interval of each number."""
        return to_csv([self._line(row) for row in self.comparison.rows])

    def _line(self, row: Row) -> dict[str, Any]:
        line = {
            "group": row.group,
            "condition": row.condition,
            METRIC: self.comparison.metric_on(row.condition),
            "runs": row.runs,
            "failed": len(row.failures),
        }
        numbers = {
            f"{column.key}_{part}": getattr(row.numbers.get(column.key), part, None)
            for column in self.shown
            for part in ("mean", "sd", "low", "high")
        }
        return {**line, **numbers, "stability": row.stability}

    def runs_csv(self) -> str:
        """Write a line a run."""
        return to_csv(
            [
                {
                    "group": record.group,
                    "condition": record.condition,
                    "seed": record.seed,
                    METRIC: self.comparison.metric_on(record.condition),
                    **{column.key: (record.metrics or {}).get(column.key) for column in self.shown},
                    "layers": _layers(record.metrics or {}),
                    "failure": record.failure,
                }
                for record in self.comparison.records
            ]
        )


def _layers(metrics: Mapping[str, Any]) -> str:
    """Write a run's layers, and what they got where that was chosen; nothing for none."""
    layers = metrics.get("layers") or ()
    return layers_text(layers, metrics.get("kinds") or (), " ") if layers else ""


def to_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """Write CSV with the keys of the first line as its header; None is an empty field."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()
