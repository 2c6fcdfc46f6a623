"""Every strategy by name, and which search options it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nni.nas.strategy.base import Strategy

from spt.errors import unknown
from strategies.darts import Darts, GumbelDarts
from strategies.evolution import Evolution
from strategies.multi_trial import Exhaustive, Manual, RandomSearch
from strategies.one_shot_random import OneShotRandom
from strategies.spt_darts import SptDarts


class Entry(NamedTuple):
    """A strategy's class, and the names of the search options that its constructor takes."""

    strategy: type[Strategy]
    options: tuple[str, ...]


GATES = (
    "gate_learning_rate",
    "gate_weight_decay",
    "warmup_epochs",
    "gate_every",
    "bilevel",
    "derivation",
    "threshold",
    "derivation_evaluations",
    "seed",
)
ONE_SHOT = {
    "spt_darts": Entry(
        SptDarts, (*GATES, "consistency", "distance", "mask_probability", "shrink", "patience")
    ),
    "darts": Entry(Darts, GATES),
    "gumbel_darts": Entry(GumbelDarts, (*GATES, "temperature", "least_temperature")),
    "one_shot_random": Entry(OneShotRandom, ("derivation_evaluations", "seed")),
}
MULTI_TRIAL = {
    "random": Entry(RandomSearch, ("seed",)),
    "evolution": Entry(Evolution, ("population", "tournament", "crossover", "seed")),
    "exhaustive": Entry(Exhaustive, ("evaluations", "seed")),
    "manual": Entry(Manual, ("manual_layers",)),
}
STRATEGIES = {**ONE_SHOT, **MULTI_TRIAL}


def new_strategy(name: str, options: Mapping[str, Any], **more: Any) -> Any:
    """A strategy of its own options out of those of a search.

    Args:
        name: of STRATEGIES.
        options: every search option by name, and the seed.
        more: arguments that are no option, such as `history` and `flops_limit` of one-shot strategies.

    Raises:
        InputError: for an unknown name, or an option out of its range.
    """
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    entry = STRATEGIES[name]
    return entry.strategy(**{option: options[option] for option in entry.options}, **more)
