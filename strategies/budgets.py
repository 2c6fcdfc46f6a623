"""The budget that a search's options describe; light, so that they can be checked without a framework."""

from __future__ import annotations

from dataclasses import replace

from search_spaces.budget import Budget
from spt.errors import InputError
from strategies.options import SpaceOptions


def largest_budget(total: int, options: SpaceOptions) -> Budget:
    """Return which subsets of layers may be valid: of all layers where candidates are yet to be scored.

    Args:
        total: L.
        options: of the search.

    Raises:
        InputError: if no subset satisfies the options.
    """
    if options.scored_candidates is not None:
        scorer, count = options.scored_candidates
        if not options.k <= count <= total:
            raise InputError(
                f"search.candidates is {scorer}:{count}, but must leave {options.k} (search.k) to "
                f"{total} layers, all of the backbone's. Choose another number."
            )
    return Budget(total, options.k, options.exactly, options.named_candidates)


def scored_budget(budget: Budget, options: SpaceOptions) -> Budget:
    """Return a budget of as many subsets as are left when candidates are scored."""
    scored = options.scored_candidates
    return budget if scored is None else replace(budget, candidates=budget.allowed[: scored[1]])
