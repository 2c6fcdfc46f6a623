"""The truth about a small space: every subset of layers trained over several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import inf, isfinite, isnan
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from scipy.stats import kendalltau

from search_spaces.budget import Budget
from spt.architecture import Layers, PromptLayers
from spt.errors import InputError
from spt.storage.json_files import read_json

ADVICE = "Make one: python -m benchmarks table."
TREC = Path(__file__).with_name("truth_trec_l6_k2.json")


@dataclass(frozen=True)
class Entry:
    """One training: the task's metric on dev and on test, and the FLOPs it took."""

    dev: float
    test: float
    flops: int


@dataclass(frozen=True)
class TruthTable:
    """Layers -> seed -> what a training of them gave.

    Args:
        entries: of every subset of the space.
        total: L, the layers of the backbone.
        setting: what the trainings were of, under the names that these have in a run's metrics.

    Source: ours, in the way of the tabular benchmarks of architecture search (NAS-Bench-101,
    arXiv 1902.09635).
    """

    entries: Mapping[Layers, Mapping[int, Entry]]
    total: int
    setting: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path = TREC) -> TruthTable:
        """Read what `python -m benchmarks table` wrote.

        Raises:
            InputError: if the file is missing, something else, or lacks a seed of a subset.
        """
        try:
            content = read_json(path, ADVICE)
            run, total = content["run"], content["layers_total"]
            if type(total) is not int:
                raise TypeError(f"layers_total is {total!r:.40}")
            metric = run["task"]["metric"]
            entries = {
                PromptLayers.of(record["layers"], total).layers: {
                    seed: _entry(dev, test, flops)
                    for seed, dev, test, flops in zip(
                        record["seeds"],
                        _scores(record, "dev", metric),
                        _scores(record, "test", metric),
                        record["train_flops"],
                        strict=True,
                    )
                }
                for record in content["records"]
            }
            setting = {
                "task": run["task"]["name"],
                "metric": metric,
                "backbone": run["backbone"]["name"],
                "train_size": run["data"]["train_size"],
                "layers_total": total,
            }
            table = cls(entries, total, setting)
        except InputError as error:
            raise InputError(f"'{path}' is not a truth table. {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"'{path}' is not a truth table ({error}). {ADVICE}") from error
        if len({tuple(seeds) for seeds in entries.values()}) != 1 or len(table.seeds) < 2:
            raise InputError(f"'{path}' must hold the same two or more seeds for every subset.")
        if len({len(layers) for layers in entries}) != 1:
            raise InputError(f"'{path}' must hold subsets of one number of layers. {ADVICE}")
        records = len(content["records"])
        if not records == len(entries) == table.budget.num_subsets:
            raise InputError(
                f"'{path}' has {records} records of {len(entries)} subsets, but must hold each of "
                f"{table.budget} once. {ADVICE}"
            )
        return table

    @property
    def seeds(self) -> tuple[int, ...]:
        """List the seeds, the same for every subset."""
        return tuple(next(iter(self.entries.values())))

    @cached_property
    def budget(self) -> Budget:
        """Return the space: exactly K of all layers."""
        return Budget(self.total, len(next(iter(self.entries))))

    def judges(self, metrics: Mapping[str, Any]) -> bool:
        """Tell whether a run is of this table's task, metric, backbone, training rows and space.

        What chose kinds for its layers is of another space.
        """
        same = all(metrics.get(key) == value for key, value in self.setting.items())
        return same and not metrics.get("kinds") and tuple(metrics["layers"]) in self.entries

    def test(self, layers: Layers, seeds: tuple[int, ...] | None = None) -> float:
        """Return the mean test metric of a subset over seeds; all by default."""
        chosen = self.seeds if seeds is None else seeds
        return fmean(self.entries[layers][seed].test for seed in chosen)

    def _halves(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Yield every way to choose on one half of the seeds and to score on the other."""
        for half in combinations(self.seeds, len(self.seeds) // 2):
            yield half, tuple(seed for seed in self.seeds if seed not in half)

    def regret(self, layers: Layers) -> float:
        """Return the test metric lost against the best subset; below 0 for a luckier choice than the best.

        The best is chosen on half of the seeds and scored, as `layers` is, on the other half, so that noise
        does not count as regret; the mean over all halves. Source: ours.
        """
        losses = []
        for chosen_on, scored_on in self._halves():
            best = max(self.entries, key=lambda subset: self.test(subset, chosen_on))
            losses.append(self.test(best, scored_on) - self.test(layers, scored_on))
        return fmean(losses)

    def kendall(self, scores: Mapping[int, float], gates: Mapping[int, float] | None = None) -> float | None:
        """Return Kendall's tau-b, in [-1, 1], of a subset's summed layer scores with its mean test metric.

        Args:
            scores: of the layers.
            gates: of the search, where it had some. One that is shut, 0, as a learned one never is, is of a
                layer that the search gave up before it scored the others. Subsets that hold one without a
                score are tied below all others, among which the search chose.

        Returns:
            None where another layer has no score, or where equal scores rank nothing.
        """
        dropped = (layer for layer, gate in (gates or {}).items() if gate == 0)
        ranked = {**dict.fromkeys(dropped, -inf), **scores}
        if not set(range(self.total)) <= ranked.keys():
            return None
        subsets = list(self.entries)
        sums = [sum(ranked[layer] for layer in subset) for subset in subsets]
        tau = _tau(sums, [self.test(subset) for subset in subsets])
        return None if isnan(tau) else tau

    def kendall_of(self, metrics: Mapping[str, Any]) -> float | None:
        """Return `kendall` of the scores and gates that metrics.json or search.json has of a search."""
        scores, gates = (
            {int(layer): value for layer, value in (metrics.get(key) or {}).items()}
            for key in ("scores", "gates")
        )
        return self.kendall(scores, gates)

    def reliability(self) -> float | None:
        """Return the table's own rank correlation: Kendall's tau-b of one half of the seeds with the other.

        The mean over all halves. A score without noise can agree with the whole table better than that: here
        both sides have the noise of half of the seeds. None where equal means rank nothing.
        """
        taus = [self._tau_of_halves(*halves) for halves in self._halves()]
        return None if any(isnan(tau) for tau in taus) else fmean(taus)

    def _tau_of_halves(self, half: tuple[int, ...], other: tuple[int, ...]) -> float:
        return _tau(*([self.test(subset, seeds) for subset in self.entries] for seeds in (half, other)))

    def spread(self) -> dict[str, float]:
        """Tell how much the choice of layers matters, beside noise, in the task's metric.

        `choice` is the standard deviation of the subsets' true means: that of the measured means with the
        share of noise taken out; `seed` that of one training from its subset's mean.
        """
        seeds = len(self.seeds)
        means = [self.test(subset) for subset in self.entries]
        within = fmean(
            sum((entry.test - self.test(subset)) ** 2 for entry in by_seed.values()) / (seeds - 1)
            for subset, by_seed in self.entries.items()
        )
        choice = max(0.0, pstdev(means) ** 2 - within / seeds) ** 0.5
        return {"choice": choice, "seed": within**0.5, "best": max(means), "worst": min(means)}


def _tau(first: Iterable[float], second: Iterable[float]) -> float:
    """Return Kendall's tau-b; NaN where equal values rank nothing."""
    # the last bits of sums would rank what is equal; scores may be small, so digits count and not places
    rounded = ([float(f"{value:.12g}") for value in values] for values in (first, second))
    return float(kendalltau(*rounded).statistic)


def _entry(dev: float, test: float, flops: int) -> Entry:
    """Make the entry of a training, whose numbers must be some."""
    if not all(type(number) in (int, float) and isfinite(number) for number in (dev, test, flops)):
        raise ValueError(f"{dev!r:.40}, {test!r:.40} and {flops!r:.40} are not all numbers")
    return Entry(dev, test, flops)


def _scores(record: Mapping[str, Any], split: str, metric: str) -> list[float]:
    """Return the task's metric of each seed; a table of accuracies alone, as older ones are, has no other."""
    key = (
        f"{split}_accuracy" if metric == "accuracy" and f"{split}_metric" not in record else f"{split}_metric"
    )
    scores: list[float] = record[key]
    return scores
