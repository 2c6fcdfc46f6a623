"""The one layer loop: where it starts and stops, what comes from below, and who runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import spt.layer_loop
import spt.model
import spt.serving.branches
import spt.serving.trunk
from spt.layer_loop import run_layers
from spt.prompts.choices import InsertPrompt, Propagate
from spt.prompts.state import EMPTY, PromptState
from spt.serving.request import Request
from spt.serving.server import PromptServer
from spt.start import Start
from tests.support.classifiers import TEXTS, classifier
from tests.support.families import FAMILIES, attentions, batch, generator, shared_backbone

LAYERS = 3
CHOICES = [Propagate(), InsertPrompt(generator(1)), InsertPrompt(generator(2, length=2))]


def passes(name: str) -> tuple[Any, Any, Start]:
    backbone, inputs = shared_backbone(name, attentions(name)[0]), batch(name, [6, 4])
    return backbone, inputs["attention_mask"], Start(0, backbone.embed(inputs))


@pytest.mark.parametrize("stop", range(LAYERS + 1))
@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_two_parts_are_the_whole(name: str, stop: int) -> None:
    backbone, mask, start = passes(name)
    expected_prompt, expected = run_layers(backbone, CHOICES, start, mask, padded=True)
    prompt, hidden = run_layers(backbone, CHOICES, start, mask, padded=True, stop=stop)
    assert prompt.length == (3 if stop == 2 else 2 if stop == 3 else 0)
    prompt, hidden = run_layers(backbone, CHOICES, Start(stop, hidden), mask, padded=True, prompt=prompt)
    torch.testing.assert_close(hidden, expected, rtol=0, atol=0)
    torch.testing.assert_close(prompt.vectors, expected_prompt.vectors, rtol=0, atol=0)


@torch.no_grad()
def test_a_prompt_from_below_is_read() -> None:
    backbone, mask, start = passes("bert")
    propagate = [Propagate()] * LAYERS
    below = PromptState(torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0)))
    _, with_prompt = run_layers(backbone, propagate, start, mask, padded=True, prompt=below)
    prompt, without = run_layers(backbone, propagate, start, mask, padded=True)
    assert prompt is EMPTY
    assert (with_prompt - without).abs().max() > 1e-3


def test_models_and_the_server_run_the_same_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int | None]] = []

    def counted(backbone: Any, choices: Any, start: Start, mask: Any, **options: Any) -> Any:
        calls.append((start.layer, options.get("stop")))
        return run_layers(backbone, choices, start, mask, **options)

    for module in (spt.model, spt.serving.trunk, spt.serving.branches):
        assert module.run_layers is spt.layer_loop.run_layers
        monkeypatch.setattr(module, "run_layers", counted)
    made = {"early": classifier(tmp_path, (1,)), "late": classifier(tmp_path, (3,), seed=1)}
    made["late"].predict(TEXTS)
    assert calls == [(0, 3), (3, None)]
    calls.clear()
    PromptServer(made).predict([Request(task, text) for text in TEXTS for task in made])
    # the trunk to the first prompt of each task, then the branches as they join
    assert calls == [(0, 1), (1, 3), (1, 3), (3, 4), (4, 4)]
