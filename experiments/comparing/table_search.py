"""A strategy against the truth: candidates are looked up in the table in place of trained."""

from __future__ import annotations

from typing import Any

from experiments.comparing.truth import TruthTable
from spt.architecture import PromptLayers
from spt.training.result import TrainingResult
from strategies.candidates import Candidates, explore
from strategies.ledger import Ledger


def search_table(
    table: TruthTable,
    strategy: Any,
    seed: int,
    evaluations: int | None = None,
    budget_flops: float | None = None,
) -> Candidates:
    """Run a multi-trial strategy in milliseconds.

    Args:
        table: holds what every training gave.
        strategy: new, as `new_strategy` makes it, or any NNI strategy that submits models.
        seed: of the trainings that are looked up; a candidate's score is its dev metric.
        evaluations: most candidates; the whole space by default.
        budget_flops: training operations that all candidates may take together; any number by default.

    Returns:
        What was tried; `best()` is what the strategy found, and `ledger.flops` what it cost.

    Raises:
        InputError: for a budget that might not pay a single candidate.
    """

    def score(layers: PromptLayers) -> TrainingResult:
        entry = table.entries[layers.layers][seed]
        return TrainingResult(entry.dev, epochs=0, steps=0, seconds=0.0, flops=entry.flops)

    return explore(
        strategy,
        table.budget,
        score,
        evaluations or len(table.budget),
        ledger=Ledger(budget=budget_flops),
        max_candidate_flops=max(by_seed[seed].flops for by_seed in table.entries.values()),
    )
