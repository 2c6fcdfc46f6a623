"""The budget that a search's options describe; light, so that they can be checked without a framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from search_spaces.budget import Budget
from spt.errors import InputError
from spt.prompts.kinds import INSERT
from strategies.costs import share_from
from strategies.options import DevScoredOptions, ExhaustiveOptions, ScoringOptions, SpaceOptions

# layers from a prompt to the next, which takes its place: more made no difference on the twelve of e5-small
ENOUGH = 3


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
    if options.most_operations < 1:
        budget = _of_cheap_layers(budget, options)
    if options.scorer_and_number is not None:
        _, number = options.scorer_and_number
        if not budget.k <= number <= len(budget.allowed):
            raise InputError(
                f"search.candidates_by is {options.candidates_by}, but must leave {budget.k} (search.k) to "
                f"{len(budget.allowed)} layers, all candidates. Choose another number."
            )
    if isinstance(options, ScoringOptions):
        _check_distance(budget, options)
    return budget


def least_distance(budget: Budget, options: ScoringOptions) -> int:
    """Return how far apart layers are chosen: as options say, or by default as far as always leaves room.

    Source: ours, by `search-deep --k 2`.
    """
    return options.least_distance or max(1, min(ENOUGH, len(budget.allowed) // (2 * budget.k)))


def _check_distance(budget: Budget, options: ScoringOptions) -> None:
    """Refuse a distance that leaves fewer than K layers, or may do so once candidates are scored.

    Raises:
        InputError: with the largest distance that does not.
    """
    distance, number = options.least_distance or 1, len(budget.allowed)
    if options.scorer_and_number is not None:
        # at worst they are all neighbours
        _, number = options.scorer_and_number
        budget = replace(budget, candidates=tuple(range(number)))
    if len(budget.apart(distance)) >= budget.k:
        return
    most = next(d for d in range(budget.total, 0, -1) if len(budget.apart(d)) >= budget.k)
    whose = f"candidate layers {list(budget.allowed)} are"
    if options.scorer_and_number is not None:
        whose = f"{number} that search.candidates_by leaves need be"
    raise InputError(
        f"search.least_distance is {distance}, but no {budget.k} of the {whose} so far apart. Set it to "
        f"{most} or less, leave more candidates, or lower search.k."
    )


def _of_cheap_layers(budget: Budget, options: SpaceOptions) -> Budget:
    """Leave out candidates that cost more than options allow, alone.

    Raises:
        InputError: if too few are left, with the least that would leave enough.
    """
    cheap = tuple(i for i in budget.allowed if share_from(i, budget.total) <= options.most_operations)
    needed = options.k if options.exactly else 1
    if len(cheap) < needed:
        least = share_from(budget.allowed[-needed], budget.total)
        raise InputError(
            f"search.most_operations is {options.most_operations:g}, which leaves {len(cheap)} of the "
            f"candidate layers {list(budget.allowed)}, but {needed} must be chosen. Set it to "
            f"{_rounded_up(least):g} or more, or lower search.k."
        )
    return replace(budget, candidates=cheap, k=min(budget.k, len(cheap)))


def _rounded_up(share: float) -> float:
    """Round a share up to three decimals, so that it may be asked for."""
    return ceil(share * 1000) / 1000


def with_parameter_limit(budget: Budget, options: SpaceOptions, parameters: Callable[[str], int]) -> Budget:
    """Return the subsets whose parameters are within what options allow.

    Args:
        budget: of the options.
        options: of the search.
        parameters: kind -> what trains at a layer that gets it.

    Raises:
        InputError: if no subset is, with the least that one takes.
    """
    if not isinstance(options, DevScoredOptions) or options.most_parameters is None:
        return budget
    counts = tuple(parameters(kind) for kind in budget.kinds)
    return replace(budget, parameters=counts, most_parameters=options.most_parameters)


def with_prompt_lengths(
    budget: Budget, length: Callable[[str], int], tokens: float, adds: bool = False
) -> Budget:
    """Return the same subsets, whose costs know how long the prompt of each kind is, where kinds differ.

    Args:
        budget: of the options.
        length: kind -> P; 0 for one without a prompt.
        tokens: mean of a text of train.
        adds: whether a prompt joins the one from below.
    """
    lengths = tuple(length(kind) for kind in budget.kinds)
    if len(set(lengths)) == 1:
        return budget
    return replace(budget, lengths=lengths, tokens=tokens, adds=adds)


def as_after_scores(budget: Budget, options: SpaceOptions) -> Budget:
    """Return a budget of as many subsets as are left when candidates are scored."""
    scored = options.scorer_and_number
    return budget if scored is None else replace(budget, candidates=budget.allowed[: scored[1]])


def check_exhaustive(budget: Budget, options: SpaceOptions) -> None:
    """Refuse a space that is too large to try all of it, where options ask for that.

    Raises:
        InputError: if more subsets are left when candidates are scored than may be trained.
    """
    if not isinstance(options, ExhaustiveOptions):
        return
    subsets = as_after_scores(budget, options).num_subsets
    if subsets > options.evaluations:
        raise InputError(
            f"The strategy 'exhaustive' would train {subsets:,} subsets of layers, but "
            f"search.evaluations allows {options.evaluations:,}. Raise it, use fewer search.candidates, or "
            "another search.strategy."
        )
