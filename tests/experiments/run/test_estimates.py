"""What a training is expected to take at most."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.run.estimates import training_flops
from experiments.run.training import train_layers
from spt.architecture import PromptLayers
from tests.support.tiny import tiny_workbench


@pytest.mark.parametrize("steps", [0, 40])
def test_no_training_takes_more_than_its_estimate(steps: int, tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, training={"contrastive_steps": steps})
    layers = PromptLayers.of((1, 3), bench.num_layers)
    _, result = train_layers(bench, layers, tmp_path / "train")
    assert 0.3 < result.flops / training_flops(bench, layers) <= 1
