"""The sentence of a comparison: dev chooses whom it names, and test is told of that one alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.comparing.conclusion import best_row, conclusion
from experiments.comparing.groups import Comparison, RunRecord

KEYS = ("dev_metric", "test_metric")


def comparison(*groups: tuple[str, float | None, float], seeds: int = 1) -> Comparison:
    """Groups of a name, a score on dev and one on test, each over seeds that differ by a point."""

    def metrics(dev: float | None, test: float, seed: int) -> dict[str, Any]:
        scores = {"metric": "accuracy", "test_metric": test + 0.01 * seed}
        return scores if dev is None else {**scores, "dev_metric": dev}

    records = [
        RunRecord(name, "trec", seed, metrics=metrics(dev, test, seed))
        for name, dev, test in groups
        for seed in range(seeds)
    ]
    return Comparison(records, KEYS)


def test_the_best_on_dev_is_named_though_another_is_higher_on_test() -> None:
    told = conclusion(comparison(("lucky", 0.8, 0.95), ("chosen", 0.9, 0.92)))
    assert told.startswith(
        "On trec, 'chosen' is best on dev and reaches 92.0 % test accuracy with its one seed."
    )
    assert told.endswith("One seed tells no group from another.")


def test_failed_runs_of_several_seeds_are_not_called_one_seed() -> None:
    whole = comparison(("first", 0.8, 0.8), ("second", 0.9, 0.9), seeds=2)
    failed = [replace(record, metrics=None) if record.seed == 1 else record for record in whole.records]
    told = conclusion(Comparison(failed, KEYS))
    assert "One seed" not in told
    assert "No other group has two runs with results to pair with those of 'first'" in told
    assert told.endswith("2 of 4 runs failed.")


def test_a_group_alone_reaches_what_it_reaches() -> None:
    told = conclusion(comparison(("only", 0.9, 0.9), seeds=2))
    assert told.startswith("On trec, 'only' reaches 90.5 % test accuracy over 2 seeds (95 % interval ")


def test_numbers_without_dev_are_chosen_by_what_is_shown() -> None:
    row = best_row(comparison(("low", None, 0.8), ("high", None, 0.9)), "trec")
    assert row is not None and row.group == "high"
    assert best_row(Comparison([RunRecord("failed", "trec", 0)], KEYS), "trec") is None
