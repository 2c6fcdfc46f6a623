"""The count of a training before it begins is what it then takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.baselines.methods import baseline_model
from benchmarks.equal_operations.epochs import MARGIN, epochs_within
from benchmarks.equal_operations.figures import OverBudget
from spt.architecture import PromptLayers
from spt.model import PromptedModel
from spt.training.fit import fit
from spt.workbench import Workbench
from tests.support.tiny import LAYERS, tiny_workbench

pytestmark = pytest.mark.slow
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "deep": {"prompt": {"generator": "free"}},
    "late": {"prompt": {"token_offset": True}},
    "contrastive": {"training": {"contrastive_steps": 4}},
}


def model_of(kind: str, bench: Workbench) -> PromptedModel:
    if kind == "lora":
        return baseline_model("lora", bench.factory)
    layers = range(LAYERS) if kind == "deep" else [2]
    return bench.factory.model(PromptLayers.of(layers, LAYERS))


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_epochs_fit_as_are_then_taken(kind: str, tmp_path: Path) -> None:
    sections = {"cache": "auto" if kind == "late" else "off", **KINDS[kind]}
    sections["training"] = {"epochs": 3, "patience": 9, **sections.get("training", {})}
    bench = tiny_workbench(tmp_path, **sections)
    model = model_of(kind, bench)
    train, dev = bench.batches("train", model, shuffled=True), bench.batches("dev", model)
    task, training = bench.spec.task, bench.training

    def fitting(budget: float) -> int:
        return epochs_within(budget, model, train.loader, dev.loader, task, training, bench.seed)

    assert fitting(1e15) == 3
    assert all(weights.grad is None for weights in model.parameters())
    spent = fit(model, train.loader, dev.loader, task, training, bench.seed, tmp_path / "fit").flops
    assert fitting(spent * MARGIN * 1.001) == 3
    if training.contrastive_steps:
        # all of it or nothing
        with pytest.raises(OverBudget, match="The contrastive stage takes"):
            fitting(spent)
        return
    assert fitting(spent) == 2
    with pytest.raises(OverBudget, match="An epoch takes"):
        fitting(spent / 100)
