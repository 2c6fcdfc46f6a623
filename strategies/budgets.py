"""The budget that a search's options describe; light, so that they can be checked without a framework."""

from __future__ import annotations

from dataclasses import replace

from search_spaces.budget import Budget
from spt.errors import InputError
from spt.prompts.kinds import INSERT
from strategies.options import DevScoredOptions, SpaceOptions


def budget_before_scores(total: int, options: SpaceOptions) -> Budget:
    """Return which subsets of layers may be valid: of all candidates, where they are yet to be scored.

    Args:
        total: L.
        options: of the search.

    Raises:
        InputError: if no subset satisfies the options.
    """
    kinds = options.kind_names if isinstance(options, DevScoredOptions) else (INSERT,)
    budget = Budget(total, options.k, options.exactly, options.candidates, kinds)
    if options.scorer_and_number is not None:
        _, number = options.scorer_and_number
        if not options.k <= number <= len(budget.allowed):
            raise InputError(
                f"search.candidates_by is {options.candidates_by}, but must leave {options.k} (search.k) to "
                f"{len(budget.allowed)} layers, all candidates. Choose another number."
            )
    return budget


def as_after_scores(budget: Budget, options: SpaceOptions) -> Budget:
    """Return a budget of as many subsets as are left when candidates are scored."""
    scored = options.scorer_and_number
    return budget if scored is None else replace(budget, candidates=budget.allowed[: scored[1]])
