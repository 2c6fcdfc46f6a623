"""Runs that a search is compared with: the same data, epochs and loop, without a search."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from experiments.config import RunConfig
from experiments.pipeline import run
from experiments.run.results import RunMetrics
from strategies.options import ManualOptions

WithoutSearch = Literal["head", "input_prompt"]
# of all that trains, the best on dev of 0.003, 0.01, 0.02 and 0.05 with MiniLM-L6 and 2,000 TREC questions,
# one seed
LEARNING_RATES: dict[WithoutSearch, float] = {"head": 0.01, "input_prompt": 0.05}


def config_without_search(
    config: RunConfig, kind: WithoutSearch, learning_rate: float | None = None
) -> RunConfig:
    """Put the head alone, or input prompt tuning (arXiv 2104.08691), in the place of a config's search.

    Args:
        config: of a run with a search.
        kind: what trains instead.
        learning_rate: of all that trains; the kind's of LEARNING_RATES by default.
    """
    layers = () if kind == "head" else (0,)
    search = ManualOptions(manual_layers=layers, budget_flops=config.search.budget_flops)
    prompt = config.prompt.model_copy(update={"generator": "free", "token_offset": False})
    one_rate = {
        "learning_rate": learning_rate or LEARNING_RATES[kind],
        "prompt_rate": None,
        "generator_rate": None,
    }
    training = config.training.model_copy(update=one_rate)
    return config.model_copy(update={"search": search, "prompt": prompt, "training": training})


def run_without_search(
    config: RunConfig, kind: WithoutSearch, folder: Path, learning_rate: float | None = None
) -> RunMetrics:
    """Train and score without a search; the arguments are those of `config_without_search`."""
    return run(config_without_search(config, kind, learning_rate), folder)
