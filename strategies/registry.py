"""Every strategy by name."""

from __future__ import annotations

from typing import Any

from nni.nas.strategy.base import Strategy

from strategies.darts import Darts, GumbelDarts
from strategies.evolution import Evolution
from strategies.layer_scores import ScoredLayers
from strategies.multi_trial import Exhaustive, Manual, RandomSearch
from strategies.one_shot_random import OneShotRandom
from strategies.options import StrategyOptions
from strategies.spt_darts import SptDarts

STRATEGIES: dict[str, type[Strategy]] = {
    "spt_darts": SptDarts,
    "darts": Darts,
    "gumbel_darts": GumbelDarts,
    "one_shot_random": OneShotRandom,
    "probe": ScoredLayers,
    "gradient": ScoredLayers,
    "random": RandomSearch,
    "evolution": Evolution,
    "exhaustive": Exhaustive,
    "manual": Manual,
}


def new_strategy(options: StrategyOptions, seed: int, **more: Any) -> Any:
    """Make the strategy whose options these are.

    Args:
        options: of `strategies.options`.
        seed: of all that the strategy draws.
        more: what is no option, such as `history` and `flops_limit` of one-shot strategies.
    """
    return STRATEGIES[options.strategy](options, seed=seed, **more)
