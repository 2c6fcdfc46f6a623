"""Compiled layers: one graph, no breaks, the same numbers for every shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from spt.architecture import PromptLayers
from spt.training.config import TrainingConfig
from spt.training.fit import fit
from tests.support.families import batch, prompted, tiny_backbone
from tests.support.tiny import tiny_workbench

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_compiled_logits_and_gradients_are_the_same_without_a_graph_break(name: str) -> None:
    backbone = tiny_backbone(name)
    plain, compiled = prompted(backbone, [1, 2]), prompted(backbone, [1, 2])
    compiled.compile(fullgraph=True, dynamic=True, backend="aot_eager")
    for lengths in ([6, 4], [9, 8, 3], [7, 7]):
        rows = batch(name, lengths)
        gradients = []
        for model in (plain, compiled):
            model.zero_grad()
            model(rows).logits.square().mean().backward()
            gradients.append([p.grad for p in model.choices.parameters()])
        torch.testing.assert_close(compiled(rows).logits, plain(rows).logits, rtol=0, atol=1e-5)
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_a_training_compiles_its_model_and_counts_the_same_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    real = torch.compile

    def watched(layers: Any, **options: Any) -> Any:
        calls.append(options)
        return real(layers, backend="aot_eager", **options)

    monkeypatch.setattr(torch, "compile", watched)
    run = tiny_workbench(tmp_path)
    results = []
    for compiles in (False, True):
        model: nn.Module = run.factory.model(PromptLayers.of([2], 4))
        train, dev = run.batches("train", model, shuffled=True).loader, run.batches("dev", model).loader
        config = TrainingConfig(epochs=2, batch_size=8, compile=compiles)
        torch._dynamo.reset()
        counters.clear()
        results.append(fit(model, train, dev, run.spec.task, config, 0, tmp_path / str(compiles)))
        # a counter looks on at the first batch of each shape, and must not keep torch from compiling the rest
        assert (counters["frames"]["ok"] > 0) == compiles
    assert calls == [{"dynamic": True}]
    assert results[0].flops == results[1].flops
    assert results[0].dev == results[1].dev
