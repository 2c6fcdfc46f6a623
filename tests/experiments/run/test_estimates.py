"""What a training is expected to take at most."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.run.estimates import prompt_tuning_flops, training_flops
from experiments.run.search_budget import searched_budget
from experiments.run.training import train_layers
from spt.architecture import PromptLayers
from strategies.costs import cost_of
from strategies.options import EvolutionOptions
from tests.support.tiny import tiny_workbench


@pytest.mark.parametrize(("steps", "twice"), [(0, False), (0, True), (40, False), (40, True)])
def test_no_training_takes_more_than_its_estimate(steps: int, twice: bool, tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, training={"contrastive_steps": steps, "checkpointing": twice})
    layers = PromptLayers.of((1, 3), bench.num_layers)
    _, result = train_layers(bench, layers, tmp_path / "train")
    assert 0.3 < result.flops / training_flops(bench, layers) <= 1


@pytest.mark.parametrize(("combine", "positions"), [("replace", 4 + 1), ("add", 4 + 4)])
def test_a_cost_counts_what_a_prompt_joins(combine: str, positions: int, tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, prompt={"combine": combine})
    options = EvolutionOptions(k=2, exactly=False, kinds=("generated",), lengths=(1, 4))
    budget = searched_budget(bench, options)
    longer_below = PromptLayers.of({2: "generated_4", 3: "generated_1"}, 4)
    tokens = budget.tokens
    assert cost_of(longer_below, budget) == pytest.approx((2 * tokens + positions) / (4 * (tokens + 4)))


def test_a_prompt_tuning_run_over_folds_is_of_all_epochs_on_train_and_dev(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, training={"epochs": 3}, data={"folds": 2})
    assert prompt_tuning_flops(bench) == prompt_tuning_flops(bench.on_all_rows(3))


@pytest.mark.parametrize("epochs", [1, 100])
def test_contrastive_steps_are_beside_no_prompt_tuning_run(epochs: int, tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, training={"contrastive_steps": 3, "epochs": epochs})
    assert prompt_tuning_flops(bench) is None


def test_a_prompt_tuning_run_is_of_all_epochs_whatever_stops_early(tmp_path: Path) -> None:
    once, often = (
        prompt_tuning_flops(tiny_workbench(tmp_path, training={"epochs": epochs, "patience": 1}))
        for epochs in (1, 30)
    )
    assert once is not None
    assert often == pytest.approx(30 * once)


def test_what_has_nothing_to_train_takes_no_training(tmp_path: Path) -> None:
    task = {"label_words": ["terrible", "great"], "template": "{text} it was {mask}"}
    bench = tiny_workbench(tmp_path, head={"kind": "verbalizer"}, task=task)
    assert training_flops(bench, PromptLayers.of([], bench.num_layers)) == 0
