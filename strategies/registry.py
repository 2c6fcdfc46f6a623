"""Every strategy by name."""

from __future__ import annotations

from pathlib import Path
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


def new_strategy(
    options: StrategyOptions, seed: int, flops_limit: float | None = None, history: Path | None = None
) -> Any:
    """Make the strategy whose options these are.

    Args:
        options: of `strategies.options`.
        seed: of all that the strategy draws.
        flops_limit: operations that a one-shot search's training may take; None for any number.
        history: of gates, which the strategies that learn some write as JSON lines; None for none.
    """
    # the other strategies take neither
    more = {"flops_limit": flops_limit, "history": history}
    given = {name: value for name, value in more.items() if value is not None}
    return STRATEGIES[options.strategy](options, seed=seed, **given)
