"""Options of the search that were set, and that its derivation, engine or number of layers leaves unread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from experiments.config import RunConfig
from strategies.options import (
    EvolutionOptions,
    GateOptions,
    MultiTrialOptions,
    OneShotOptions,
    ScoringOptions,
    SpaceOptions,
    SptDartsOptions,
    StrategyOptions,
)


class Unread(NamedTuple):
    """Hold options of a search that it does not read, why, and what would change that."""

    names: frozenset[str]
    reason: str
    instead: str


def unread_search_notes(config: RunConfig) -> Iterator[str]:
    """Yield what is to be said of options of a run's search that were set and change nothing.

    What a strategy never reads is refused with its options; here is what it reads only beside others.

    Source: ours.
    """
    changed = _changed(config.search)
    for names, reason, instead in _unread(config.search):
        if named := ", ".join(f"search.{name}" for name in sorted(names & changed)):
            yield f"{named} is set but not read: {reason}. Leave it out, or {instead}."
    steps = config.training.contrastive_steps
    if isinstance(config.search, OneShotOptions) and config.search.inherit and steps:
        yield (
            f"search.inherit is read for the generators alone: the {steps} training.contrastive_steps fit "
            "the head from zero. Leave it out, or set training.contrastive_steps to 0."
        )


def _changed(search: StrategyOptions) -> set[str]:
    """Return the options that are other than by default, those of the engine as engine.cpus."""
    changed = search.model_dump(exclude_defaults=True)
    return {*changed, *(f"engine.{name}" for name in changed.get("engine", {}))}


def _unread(search: StrategyOptions) -> Iterator[Unread]:
    """Yield what a search does not read because of others of its options."""
    if isinstance(search, GateOptions):
        yield from _unread_by_derivation(search)
    if isinstance(search, SptDartsOptions):
        yield from _unread_by_spt_darts(search)
    if isinstance(search, MultiTrialOptions):
        yield from _unread_by_candidates(search)
    if isinstance(search, ScoringOptions) and search.k == 1:
        names = frozenset({"least_distance"})
        yield Unread(names, "search.k is 1, and it is between two chosen layers", "raise search.k")
    if isinstance(search, SpaceOptions) and _always_finds_k(search):
        yield Unread(
            frozenset({"exactly"}),
            f"{_ranking(search)} takes the best {search.k} (search.k) layers of a ranking",
            "limit them, by search.most_operations for one",
        )


def _unread_by_derivation(search: GateOptions) -> Iterator[Unread]:
    for name, reader in (("threshold", "threshold"), ("derivation_evaluations", "pruned")):
        if search.derivation != reader:
            reason = f"search.derivation is {search.derivation}, and {reader} alone reads it"
            also = " and search.exactly to false" if reader == "threshold" else ""
            yield Unread(frozenset({name}), reason, f"set search.derivation to {reader}{also}")


def _unread_by_spt_darts(search: SptDartsOptions) -> Iterator[Unread]:
    if not search.consistency:
        reason = "search.consistency is 0, so that no output is pruned"
        yield Unread(frozenset({"distance", "mask_probability"}), reason, "raise search.consistency")
    if search.cost_weight:
        reason = f"search.cost_weight is {search.cost_weight:g}, with which no candidate is dropped"
        yield Unread(frozenset({"shrink"}), reason, "set search.cost_weight to 0")


def _unread_by_candidates(search: MultiTrialOptions) -> Iterator[Unread]:
    if search.engine.kind == "sequential":
        yield Unread(
            frozenset({"engine.cpus", "engine.gpus", "engine.retries"}),
            "search.engine.kind is sequential, which trains candidates in this process",
            "set search.engine.kind to ray",
        )
    if isinstance(search, EvolutionOptions) and search.evaluations <= search.population:
        yield Unread(
            frozenset({"tournament", "crossover"}),
            f"the first {search.population} candidates (search.population) are drawn at random, and "
            f"search.evaluations is {search.evaluations}",
            "raise search.evaluations",
        )


def _always_finds_k(search: SpaceOptions) -> bool:
    """Say whether layers are ranked, and nothing may leave fewer than K of them."""
    ranks = isinstance(search, ScoringOptions) or (
        isinstance(search, GateOptions) and search.derivation in ("top_k", "ablation")
    )
    limited = search.most_operations < 1 or getattr(search, "most_parameters", None) is not None
    return ranks and not limited


def _ranking(search: SpaceOptions) -> str:
    return f"search.derivation {search.derivation}" if isinstance(search, GateOptions) else search.strategy
