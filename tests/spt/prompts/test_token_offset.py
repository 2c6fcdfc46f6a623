"""Offsets of tokens at a chosen layer: their formula, their start, and what they leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from spt.architecture import PromptLayers
from spt.flops import flops
from spt.prompts.choices import GatedPrompt, InsertPrompt
from spt.prompts.config import PromptConfig, prompt_as_written
from spt.prompts.generators import new_generator
from spt.prompts.state import EMPTY, PromptState
from spt.training.fit import fit
from tests.support.families import HIDDEN, OFFSET, batch, generator, prompted, shared_backbone
from tests.support.tiny import tiny_workbench

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def hidden() -> torch.Tensor:
    return torch.randn(2, 5, HIDDEN, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["pooled", "naive"])
def test_an_offset_goes_down_as_the_prompt_does_and_up_on_its_own(kind: Any) -> None:
    config = PromptConfig(generator=kind, length=3, bottleneck=8, phm_order=1, token_offset=True)
    made = new_generator(HIDDEN, config.model_copy(update={"zero_start": False}), seed=0)
    made.up_tokens.weight.data.normal_()
    prompt, offset = made.with_offset(hidden(), MASK)
    torch.testing.assert_close(prompt, made(hidden(), MASK))
    features = (hidden() @ made.down.weight.T + made.down.bias).relu()
    expected = features @ made.up_tokens.weight.T + made.up_tokens.bias
    torch.testing.assert_close(offset[0], expected[0])
    torch.testing.assert_close(offset[1, :3], expected[1, :3])
    assert offset[1, 3:].abs().max() == 0


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("prompt", [{"generator": "pooled"}, {"generator": "naive"}, {"shared": True}])
def test_a_model_starts_as_the_one_without_offsets_and_learns_them(
    prompt: dict[str, Any], order: int, tmp_path: Path
) -> None:
    prompt = {**prompt, "phm_order": order}
    layers = PromptLayers.of([1, 3], 4)
    plain = tiny_workbench(tmp_path, prompt=prompt).factory.model(layers)
    bench = tiny_workbench(tmp_path, prompt={**prompt, "token_offset": True})
    model = bench.factory.model(layers)
    inputs = next(iter(bench.batches("dev", model).loader))
    logits = model(inputs).logits
    assert torch.equal(logits, plain(inputs).logits)
    torch.nn.functional.cross_entropy(logits, inputs["labels"]).backward()
    ups = [p for name, p in model.named_parameters() if "up_tokens.weight" in name]
    assert ups
    assert all(up.grad.abs().max() > 0 for up in ups)
    loaders = [bench.batches(split, model).loader for split in ("train", "dev")]
    fit(model, *loaders, bench.spec.task, bench.training, 0, tmp_path / "fit")
    assert all(up.abs().max() > 0 for up in ups)


def test_a_gate_scales_the_offset_and_the_next_layer_does_not_see_it() -> None:
    insert = InsertPrompt(generator(0, kind=OFFSET), offsets=True)
    full = insert(EMPTY, hidden(), MASK).offset
    gated = GatedPrompt({"insert": insert})
    gated.alpha.data.fill_(torch.tensor(0.25).logit().item())
    below = PromptState(torch.ones(2, 3, HIDDEN))
    for prompt in (EMPTY, below):
        mixed = gated(prompt, hidden(), MASK)
        torch.testing.assert_close(mixed.offset, 0.25 * full)
        torch.testing.assert_close(mixed.shifted(hidden()), hidden() + 0.25 * full)
        assert mixed.moved(mixed.vectors).offset is None
    mixed.offset.sum().backward()
    assert gated.alpha.grad.abs() > 0


def test_layers_below_the_first_prompt_are_as_without_offsets() -> None:
    backbone, inputs = shared_backbone("bert", "sdpa"), batch("bert", [6, 4])
    model = prompted(backbone, [1, 2], kind=OFFSET)
    start = model.prefix(inputs)
    assert start.layer == 1
    assert torch.equal(start.hidden, prompted(backbone, [1]).prefix(inputs).hidden)
    torch.testing.assert_close(model(inputs, start).features, model(inputs).features)


def test_the_operations_of_offsets_are_counted() -> None:
    backbone, inputs = shared_backbone("bert", "sdpa"), batch("bert", [6, 6])
    with torch.no_grad():
        plain, shifted = (
            flops(lambda kind=kind: prompted(backbone, [1], kind=kind)(inputs)) for kind in ("pooled", OFFSET)
        )
        up = generator(1, kind=OFFSET).up_tokens
        assert shifted - plain == flops(lambda: up(torch.zeros(2, 6, 8))) > 2 * 12 * 8 * HIDDEN


def test_generators_offset_tokens_unless_told_otherwise_and_free_prompts_have_none() -> None:
    assert PromptConfig().token_offset
    assert not PromptConfig(generator="free").token_offset
    with pytest.raises(ValidationError, match="token_offset: true is for generators"):
        PromptConfig(generator="free", token_offset=True)


def test_what_a_program_wrote_before_there_were_offsets_has_none() -> None:
    written = PromptConfig().model_dump(exclude={"token_offset"})
    assert not prompt_as_written(written)["token_offset"]
    assert PromptConfig(**written).token_offset
