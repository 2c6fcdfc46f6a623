"""Heads: which tokens they read, what trains in them, and label words through the language model."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from spt.errors import InputError
from spt.heads import HEADS, ClassificationHead, Output, VerbalizerHead, reduce_tokens
from spt.prompts.config import PromptConfig
from spt.prompts.state import EMPTY
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import get_task
from tests.support.families import HIDDEN, MASK_ID, WORDS, batch, shared_backbone, tiny_model, with_mask
from tests.support.tiny import make_tokenizer

SIDES = ["right", "left"]
KINDS = get_args(HeadConfig.model_fields["kind"].annotation)


def test_every_kind_of_head_is_in_the_registry() -> None:
    assert set(HEADS) == set(KINDS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "text_to_text"])
@torch.no_grad()
def test_heads_are_made_and_called_alike(kind: Any) -> None:
    spec = ModelSpec(
        backbone=BackboneConfig(name="tiny"),
        head=HeadConfig(kind=kind),
        prompt=PromptConfig(),
        task=get_task("custom", labels=("bad", "good"), label_words=("terrible", "great")),
        max_length=32,
    )
    head = HEADS[kind](spec, shared_backbone("bert", "sdpa"), make_tokenizer())
    output = head(torch.randn(2, 6, HIDDEN), batch("bert", [6, 4]), EMPTY)
    assert isinstance(output, Output)
    assert (output.features.shape, output.logits.shape) == ((2, HIDDEN), (2, 2))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("reduction", ["mean", "first", "last"])
def test_reductions_read_real_tokens_only(reduction: Any, side: str) -> None:
    inputs = batch("bert", [5, 1, 3], side, extra=2)
    mask = inputs["attention_mask"]
    hidden = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))
    rows = [row[keep] for row, keep in zip(hidden, mask.bool(), strict=True)]
    by_hand = {"mean": lambda row: row.mean(0), "first": lambda row: row[0], "last": lambda row: row[-1]}
    expected = torch.stack([by_hand[reduction](row) for row in rows])
    torch.testing.assert_close(reduce_tokens(hidden, mask, reduction), expected)


@pytest.mark.parametrize("reduction", ["mean", "first", "last"])
def test_classification_head_gives_its_input_and_logits(reduction: Any) -> None:
    head = ClassificationHead(4, 3, reduction)
    hidden, mask = torch.ones(2, 5, 4) * torch.arange(1.0, 6)[:, None], torch.ones(2, 5, dtype=torch.long)
    output = head(hidden, {"attention_mask": mask}, EMPTY)
    value = {"mean": 3.0, "first": 1.0, "last": 5.0}[reduction]
    torch.testing.assert_close(output.features, torch.full((2, 4), value))
    by_hand = value * head.linear.weight.sum(1) + head.linear.bias
    torch.testing.assert_close(output.logits, by_hand.expand(2, -1))


def test_classification_head_passes_gradients_to_both_sides() -> None:
    head = ClassificationHead(4, 3)
    hidden = torch.ones(2, 5, 4, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    head(hidden, {"attention_mask": mask}, EMPTY).logits[:, 0].sum().backward()
    assert (hidden.grad.abs().sum(-1) > 0).tolist() == [[True] * 5, [True, True, False, False, False]]
    assert head.linear.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("side", SIDES)
@torch.no_grad()
def test_verbalizer_reads_the_label_words_at_the_mask(side: str) -> None:
    places = [4, 1] if side == "right" else [5, 6]
    inputs = with_mask(batch("bert", [6, 3], side, extra=1), places)
    stock = tiny_model("bert")(**inputs, output_hidden_states=True)
    head = VerbalizerHead(shared_backbone("bert", "sdpa"), WORDS, MASK_ID)
    output = head(stock.hidden_states[-1], inputs, EMPTY)
    rows = torch.arange(2)
    torch.testing.assert_close(output.features, stock.hidden_states[-1][rows, places])
    torch.testing.assert_close(output.logits, stock.logits[rows, places][:, WORDS])


@pytest.mark.parametrize("side", SIDES)
@torch.no_grad()
def test_verbalizer_of_a_causal_model_reads_the_last_real_token(side: str) -> None:
    inputs = batch("gpt2", [6, 3], side)
    stock = tiny_model("gpt2")(**inputs, output_hidden_states=True)
    last = [5, 2] if side == "right" else [5, 5]
    output = VerbalizerHead(shared_backbone("gpt2", "sdpa"), WORDS, None)(
        stock.hidden_states[-1], inputs, EMPTY
    )
    torch.testing.assert_close(output.logits, stock.logits[torch.arange(2), last][:, WORDS])


def test_nothing_in_a_verbalizer_trains_or_is_saved() -> None:
    head = VerbalizerHead(shared_backbone("bert", "sdpa"), WORDS, MASK_ID)
    assert list(head.parameters()) == []
    assert head.state_dict() == {}


def test_a_masked_model_without_a_mask_token_is_refused() -> None:
    with pytest.raises(InputError, match=r"no mask token\. Use a classification head"):
        VerbalizerHead(shared_backbone("bert", "sdpa"), WORDS, None)
