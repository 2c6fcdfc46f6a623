"""Groups of runs side by side: means over seeds, paired tests and ranks, whatever the groups are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from experiments.comparing import statistics
from experiments.comparing.statistics import Ranks, Spread
from spt.errors import unknown
from spt.metrics import Metric

# of a run's metrics: the name of the task's metric, and its value on test
METRIC = "metric"
SCORE = "test_metric"
# its value on dev, which chooses
DEV = "dev_metric"


@dataclass(frozen=True)
class RunRecord:
    """One run of a comparison.

    Args:
        group: what is compared: a strategy, a method, a value of an ablation.
        condition: what it is compared on: a task, with its backbone or number of shots where these vary.
        seed: of the run; runs of one condition and seed are pairs.
        values: the keys that make the group, for tables that others make of the records.
        metrics: numbers by name, the name of the task's metric, and 'layers' and 'layers_total' where layers
            were chosen; None if it failed.
        failure: why it failed.
        folder: of the run, beside the page; None where its report is not kept.
    """

    group: str
    condition: str
    seed: int
    values: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] | None = None
    failure: str | None = None
    folder: str | None = None


@dataclass(frozen=True)
class Row:
    """A group on one condition, over its seeds.

    Args:
        runs: how many gave results.
        numbers: key -> spread over the seeds that have the number.
        layers: seed -> the layers chosen.
        layers_total: of the backbone; None where layers are no part of the runs.
        failures: seed -> why it failed.
        kinds: seed -> what each of the layers got; none where all got what the section `prompt` says.
    """

    group: str
    condition: str
    runs: int
    numbers: Mapping[str, Spread]
    layers: Mapping[int, tuple[int, ...]]
    layers_total: int | None
    failures: Mapping[int, str]
    kinds: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def stability(self) -> float | None:
        """Return the mean Jaccard similarity of two seeds' layers, in [0, 1]; None for one seed."""
        return statistics.stability(list(self.layers.values()))

    @property
    def shares(self) -> list[float]:
        """Return the share of seeds, in [0, 1], that chose each layer of the backbone."""
        sets = list(self.layers.values())
        return [
            sum(layer in chosen for chosen in sets) / len(sets) for layer in range(self.layers_total or 0)
        ]


@dataclass(frozen=True)
class PairedTest:
    """A group against the reference, over the conditions and seeds that both have.

    Args:
        difference: mean of group - reference.
        p: of the paired permutation test.
        adjusted: p by Holm, for all groups that were tested.
        smallest: what p cannot go below with so many pairs.
    """

    group: str
    pairs: int
    difference: float
    p: float
    adjusted: float
    smallest: float


def reference_among(groups: Sequence[str], reference: str | None) -> str:
    """Return the group that others are tested against: the first where none is named.

    Raises:
        InputError: for a reference that is none of the groups.
    """
    if reference is not None and reference not in groups:
        raise unknown("reference", reference, groups)
    return groups[0] if reference is None else reference


class Comparison:
    """Groups in the order of the records, over conditions and seeds.

    Args:
        records: at least one; one a group, condition and seed.
        keys: of the numbers of interest; those that no run has are left out.
        reference: the group that the others are tested against; the first by default.
        score: key of the number that is tested and ranked; more is better.

    Raises:
        InputError: for a reference that is none of the groups.
    """

    def __init__(
        self,
        records: Sequence[RunRecord],
        keys: Sequence[str],
        reference: str | None = None,
        score: str = SCORE,
    ) -> None:
        self.records = list(records)
        self.keys = [
            key for key in dict.fromkeys([score, *keys]) if numbers((r.metrics or {} for r in records), key)
        ]
        self.score = score
        self.groups = list(dict.fromkeys(record.group for record in records))
        self.conditions = list(dict.fromkeys(record.condition for record in records))
        self.reference = reference_among(self.groups, reference)

    @cached_property
    def rows(self) -> list[Row]:
        """List the rows of the table, condition by condition, of the groups that were run on each."""
        run = {(record.group, record.condition) for record in self.records}
        return [self._row(g, c) for c in self.conditions for g in self.groups if (g, c) in run]

    def metric_on(self, condition: str) -> Metric:
        """Name the metric of a condition's task; accuracy where all of its runs failed."""
        names = (r.metrics[METRIC] for r in self.records if r.condition == condition and r.metrics)
        return next(names, "accuracy")

    def _row(self, group: str, condition: str) -> Row:
        records = [r for r in self.records if (r.group, r.condition) == (group, condition)]
        done = {record.seed: record.metrics for record in records if record.metrics is not None}
        values = {key: numbers(done.values(), key) for key in self.keys}
        layers = {seed: tuple(m["layers"]) for seed, m in done.items() if m.get("layers") is not None}
        totals = [m["layers_total"] for m in done.values() if "layers_total" in m]
        return Row(
            group,
            condition,
            len(done),
            {key: statistics.spread(of_seeds) for key, of_seeds in values.items() if of_seeds},
            layers,
            totals[0] if totals else None,
            {r.seed: r.failure or "no result" for r in records if r.metrics is None},
            {seed: tuple(m.get("kinds") or ()) for seed, m in done.items()},
        )

    @property
    def chooses_layers(self) -> bool:
        """Tell whether layers are part of the runs."""
        return any(row.layers for row in self.rows)

    @cached_property
    def _scores(self) -> dict[str, dict[tuple[str, int], float]]:
        """Return group -> (condition, seed) -> score."""
        return {
            group: {
                (record.condition, record.seed): record.metrics[self.score]
                for record in self.records
                if record.group == group and record.metrics is not None
            }
            for group in self.groups
        }

    def scores_of(self, row: Row) -> list[float]:
        """List the score of each run of a row."""
        scores = self._scores[row.group]
        return [score for (condition, _), score in scores.items() if condition == row.condition]

    @property
    def varied_number(self) -> tuple[str, dict[str, float]] | None:
        """Return the one key that makes the groups and group -> its value, if all its values are numbers."""
        keys = {key for record in self.records for key in record.values}
        values = {record.group: value for record in self.records for value in record.values.values()}
        plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values.values())
        return (keys.pop(), values) if len(keys) == 1 and plain else None

    @cached_property
    def tests(self) -> list[PairedTest]:
        """Test every other group against the reference, where both have two pairs or more."""
        reference = self._scores[self.reference]
        results = []
        for group in self.groups:
            blocks = [block for block in self._scores[group] if block in reference]
            if group == self.reference or len(blocks) < 2:
                continue
            ours = [self._scores[group][block] for block in blocks]
            theirs = [reference[block] for block in blocks]
            difference = sum(a - b for a, b in zip(ours, theirs, strict=True)) / len(blocks)
            results.append((group, len(blocks), difference, statistics.paired_p(ours, theirs)))
        adjusted = statistics.holm([p for *_, p in results])
        return [
            PairedTest(*test, adjusted=p, smallest=statistics.smallest_p(test[1]))
            for test, p in zip(results, adjusted, strict=True)
        ]

    @cached_property
    def ranks(self) -> tuple[list[str], Ranks] | None:
        """Rank the groups that have runs over the conditions and seeds that all of them have.

        Returns:
            These groups and their ranks; None for fewer than three groups or two such blocks.
        """
        groups = [group for group in self.groups if self._scores[group]]
        blocks = [
            block
            for block in dict.fromkeys((r.condition, r.seed) for r in self.records)
            if all(block in self._scores[group] for group in groups)
        ]
        if len(groups) < 3 or len(blocks) < 2:
            return None
        return groups, statistics.ranks([[self._scores[g][block] for g in groups] for block in blocks])


def numbers(metrics: Iterable[Mapping[str, Any]], key: str) -> list[float]:
    """List the values under a key, where they are numbers."""
    values = [of_run.get(key) for of_run in metrics]
    return [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
