"""A strategy against the truth: candidates are looked up in the table in place of trained."""

from __future__ import annotations

from typing import Any

from experiments.comparing.truth import TruthTable
from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.training.result import TrainingResult
from strategies.candidates import Candidates, explore
from strategies.ledger import Ledger
from strategies.options import DevScoredOptions

# what would change the space, or the choice among its candidates
NOT_LOOKED_UP = (
    "exactly",
    "candidates",
    "candidates_by",
    "most_operations",
    "most_parameters",
    "kinds",
    "lengths",
    "cost_weight",
)


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
        What was tried; `best(table.budget)` is what the strategy found, and `ledger.flops` what it cost.

    Raises:
        InputError: for a budget that might not pay a single candidate, or an option of the strategy by which
            it would search another space than the table's, or choose otherwise than by the dev metric alone.
    """
    options = getattr(strategy, "options", None)
    if isinstance(options, DevScoredOptions):
        _check(options, table)

    def score(layers: PromptLayers) -> TrainingResult:
        entry = table.entries[layers.layers][seed]
        return TrainingResult(entry.dev, epochs=0, steps=0, seconds=0.0, flops=entry.flops)

    return explore(
        strategy,
        table.budget,
        score,
        evaluations or table.budget.num_subsets,
        ledger=Ledger(budget=budget_flops),
        max_candidate_flops=max(by_seed[seed].flops for by_seed in table.entries.values()),
    )


def _check(options: DevScoredOptions, table: TruthTable) -> None:
    """Refuse options that a search in the table would not heed."""
    fields = type(options).model_fields
    unheeded = [name for name in NOT_LOOKED_UP if getattr(options, name) != fields[name].default]
    if options.k != table.budget.k:
        unheeded.append("k")
    if unheeded:
        given = ", ".join(f"search.{name} is {getattr(options, name)}" for name in unheeded)
        raise InputError(
            f"{given}, but candidates are looked up in a table of {table.budget} layers, of which the one of "
            "the highest dev metric is chosen. Leave it out."
        )
