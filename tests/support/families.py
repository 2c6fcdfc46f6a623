"""Tiny models of every family, with random weights, and batches for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

from spt.backbones.base import Backbone
from spt.backbones.registry import family
from spt.heads import Output
from spt.model import PromptedModel
from spt.prompts.choices import GatedPrompt, InsertPrompt, Propagate
from spt.prompts.config import PromptConfig
from spt.prompts.generators import new_generator
from spt.prompts.state import PromptState

VOCABULARY = 60
PAD = 1
HIDDEN = 32
OFFSET = "offset"

_BERT = {"intermediate_size": 40, "max_position_embeddings": 48, "layer_norm_eps": 1e-7}
_LLAMA = {"intermediate_size": 40, "num_key_value_heads": 2, "max_position_embeddings": 48}
_DEBERTA = {
    **_BERT,
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
_ROPE = {"rope_theta": 10_000.0, "rope_type": "default"}
_MODERN_ROPE = {"full_attention": _ROPE, "sliding_attention": {**_ROPE, "rope_theta": 100.0}}


@dataclass(frozen=True)
class TinyFamily:
    """A model type, the options of its tiny configuration, and what tests must know of it."""

    model_type: str
    options: dict[str, Any] = field(default_factory=dict)
    token_types: bool = False

    def config(self, **changes: Any) -> Any:
        """The configuration, with other options where asked."""
        shared = {"hidden_size": HIDDEN, "num_hidden_layers": 3, "num_attention_heads": 4}
        if self.model_type == "distilbert":
            shared = {"dim": HIDDEN, "n_layers": 3, "n_heads": 4}
        ids = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": 2, "eos_token_id": 3}
        return AutoConfig.for_model(self.model_type, **{**shared, **ids, **self.options, **changes})


FAMILIES: dict[str, TinyFamily] = {
    "bert": TinyFamily("bert", _BERT, token_types=True),
    "roberta": TinyFamily("roberta", _BERT),
    "xlm-roberta": TinyFamily("xlm-roberta", _BERT),
    "camembert": TinyFamily("camembert", _BERT),
    "electra": TinyFamily("electra", {**_BERT, "embedding_size": 16}, token_types=True),
    "electra-wide": TinyFamily("electra", {**_BERT, "embedding_size": HIDDEN}, token_types=True),
    "distilbert": TinyFamily("distilbert", {"hidden_dim": 40, "max_position_embeddings": 48}),
    "deberta": TinyFamily("deberta", _DEBERTA),
    "deberta-v2": TinyFamily(
        "deberta-v2",
        {
            **_DEBERTA,
            "type_vocab_size": 2,
            "position_biased_input": True,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "legacy": False,
        },
        token_types=True,
    ),
    "deberta-v3": TinyFamily(
        "deberta-v2",
        {**_DEBERTA, "position_buckets": 4, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    ),
    "modernbert": TinyFamily(
        "modernbert",
        {
            "intermediate_size": 40,
            "max_position_embeddings": 48,
            "local_attention": 4,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
            "rope_parameters": _MODERN_ROPE,
            "cls_token_id": 2,
            "sep_token_id": 3,
        },
    ),
    "gpt2": TinyFamily("gpt2", {"n_inner": 40, "n_positions": 48}),
    "llama": TinyFamily("llama", _LLAMA),
    "mistral": TinyFamily("mistral", {**_LLAMA, "sliding_window": 3}),
    "qwen2": TinyFamily("qwen2", _LLAMA),
    "qwen2-window": TinyFamily(
        "qwen2", {**_LLAMA, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
    ),
    "qwen3": TinyFamily("qwen3", {**_LLAMA, "head_dim": 8}),
}


def tiny_model(name: str, attention: str = "sdpa", **changes: Any) -> PreTrainedModel:
    """A random model with its language-model head; the same name always gives the same weights.

    Weights are larger than at Hugging Face's initialisation, so that attention is far from uniform and an
    error in a mask or a position shows.
    """
    config = FAMILIES[name].config(**changes)
    torch.manual_seed(0)
    auto: Any = AutoModelForCausalLM if family(config).causal else AutoModelForMaskedLM
    model: PreTrainedModel = auto.from_config(config, attn_implementation=attention)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.15)
    return model.eval()


def tiny_backbone(name: str, attention: str = "sdpa", **changes: Any) -> Backbone:
    """A backbone over `tiny_model`."""
    model = tiny_model(name, attention, **changes)
    return family(model.config)(model)


def batch(
    name: str, lengths: list[int], side: str = "right", extra: int = 0, seed: int = 0
) -> dict[str, Tensor]:
    """Random tokens, one row a length, padded on one side to the longest plus `extra`."""
    columns = max(lengths) + extra
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((len(lengths), columns), PAD)
    mask = torch.zeros(len(lengths), columns, dtype=torch.long)
    types = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        at = slice(0, length) if side == "right" else slice(columns - length, columns)
        ids[row, at] = torch.randint(4, VOCABULARY, (length,), generator=generator)
        types[row, at] = (torch.arange(length) >= length // 2).long()
        mask[row, at] = 1
    made = {"input_ids": ids, "attention_mask": mask}
    return {**made, "token_type_ids": types} if FAMILIES[name].token_types else made


def attentions(name: str) -> list[str]:
    """The attention kernels the family has."""
    return ["sdpa", "eager"] if family(FAMILIES[name].config()).sdpa else ["eager"]


EVERY = [(name, attention) for name in FAMILIES for attention in attentions(name)]


@cache
def shared_backbone(name: str, attention: str) -> Backbone:
    """`tiny_backbone`, made once, for tests that change nothing in it."""
    return tiny_backbone(name, attention)


class TokenLogits(nn.Module):
    """A head that gives every token's hidden state [B, T, H] and language-model logits [B, T, vocabulary]."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self._lm_logits = backbone.lm_logits

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor], prompt: PromptState) -> Output:
        return Output(hidden, self._lm_logits(hidden))


def generator(layer: int, length: int = 3, kind: str = "pooled") -> nn.Module:
    """A small generator, always the same for a layer; "offset" is pooled and shifts tokens."""
    offset = kind == OFFSET
    config = PromptConfig(
        generator="pooled" if offset else kind,
        length=length,
        bottleneck=8,
        phm_order=4,
        # from a zero start prompts would not depend on the instance
        zero_start=False,
        token_offset=offset,
    )
    made = new_generator(HIDDEN, config, seed=layer)
    if offset:
        # from their start, zero, tokens would not move
        made.up_tokens.weights.data.normal_(std=0.3, generator=torch.Generator().manual_seed(layer))
    return made


def prompted(
    backbone: Backbone, layers: Iterable[int], length: int = 3, kind: str = "pooled", adds: bool = False
) -> PromptedModel:
    """The discrete model with new prompts at `layers`."""
    chosen = set(layers)
    choices = [
        InsertPrompt(generator(i, length, kind), adds, kind == OFFSET) if i in chosen else Propagate()
        for i in range(backbone.num_layers)
    ]
    return PromptedModel(backbone, choices, TokenLogits(backbone))


def gated(
    backbone: Backbone, alphas: Sequence[float], length: int = 3, kind: str = "pooled", adds: bool = False
) -> PromptedModel:
    """The hyper-network over the same generators, with the given gate parameters."""
    choices = [
        GatedPrompt({"insert": InsertPrompt(generator(i, length, kind), adds, kind == OFFSET)})
        for i in range(backbone.num_layers)
    ]
    for choice, alpha in zip(choices, alphas, strict=True):
        choice.alpha.data.fill_(alpha)
    return PromptedModel(backbone, choices, TokenLogits(backbone))


MASK_ID = 7
WORDS = [11, 5, 23]


def with_mask(inputs: dict[str, Tensor], places: list[int]) -> dict[str, Tensor]:
    """The batch with one mask token a row, and no other."""
    ids = inputs["input_ids"].clone()
    ids[ids == MASK_ID] = MASK_ID + 1
    ids[torch.arange(len(places)), places] = MASK_ID
    return {**inputs, "input_ids": ids}
