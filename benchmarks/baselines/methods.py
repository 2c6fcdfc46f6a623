"""The baselines by name: each makes a model of a factory whose backbone it may change."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, TaskType, get_peft_model, inject_adapter_in_model
from peft.tuners.p_tuning import PromptEncoder, PromptEncoderConfig
from torch import nn

from benchmarks.baselines.models import BottleneckAdapter, EncodedPrompt, PrefixedModel, TunedBackbone
from spt.backbones.base import Backbone
from spt.build import ModelFactory
from spt.errors import InputError, TrialFailed, unknown
from spt.model import PromptedModel
from spt.prompts.choices import InsertPrompt, Propagate

# the last projections of attention and feed-forward in a layer, by model type
_BERT = (r"attention\.output\.dense", r"(?<!attention)\.output\.dense")
_LLAMA = (r"self_attn\.o_proj", r"mlp\.down_proj")
OUTPUTS = {
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "camembert", "electra", "deberta", "deberta-v2"), _BERT
    ),
    "distilbert": (r"attention\.out_lin", r"ffn\.lin2"),
    "gpt2": (r"attn\.c_proj", r"mlp\.c_proj"),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), _LLAMA),
}
# peft's own choice for these would scale the output of attention too
IA3_MODULES = {
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "camembert", "electra"),
        (r".*\.(key|value)|.*(?<!attention)\.output\.dense", r".*(?<!attention)\.output\.dense"),
    )
}

# what models call the keys and values they are handed: BERT since transformers 5.24, and all others
PAST = ("cache", "past_key_values")

Make = Callable[[ModelFactory, int], PromptedModel]


def full(factory: ModelFactory, size: int) -> PromptedModel:  # noqa: ARG001
    """Train every weight: full fine-tuning."""
    factory.backbone.model.requires_grad_(True)
    return TunedBackbone(factory.backbone, factory.head())


def bitfit(factory: ModelFactory, size: int) -> PromptedModel:  # noqa: ARG001
    """Train the biases, of norms too: BitFit (arXiv 2106.10199)."""
    for name, parameter in factory.backbone.model.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    return TunedBackbone(factory.backbone, factory.head())


def lora(factory: ModelFactory, size: int) -> PromptedModel:
    """Add LoRA (arXiv 2106.09685) of rank `size` to peft's choice of projections: queries and values."""
    return _with_lora(factory, size, range(factory.backbone.num_layers))


def lora_upper(factory: ModelFactory, size: int) -> PromptedModel:
    """Add LoRA to the upper half of the layers alone, where found prompts mostly are (ours)."""
    layers = factory.backbone.num_layers
    return _with_lora(factory, size, range(layers // 2, layers))


def _with_lora(factory: ModelFactory, size: int, layers: range) -> PromptedModel:
    config = LoraConfig(r=size, lora_alpha=2 * size, layers_to_transform=list(layers))
    inject_adapter_in_model(config, factory.backbone.model)
    return TunedBackbone(factory.backbone, factory.head())


def ia3(factory: ModelFactory, size: int) -> PromptedModel:  # noqa: ARG001
    """Scale keys, values and the feed-forward's inner states: (IA)^3 (arXiv 2205.05638)."""
    return _with_ia3(factory, range(factory.backbone.num_layers))


def ia3_upper(factory: ModelFactory, size: int) -> PromptedModel:  # noqa: ARG001
    """Scale those of the upper half of the layers alone, where found prompts mostly are (ours)."""
    layers = factory.backbone.num_layers
    return _with_ia3(factory, range(layers // 2, layers))


def _with_ia3(factory: ModelFactory, layers: range) -> PromptedModel:
    targets, inner = IA3_MODULES.get(_model_type(factory.backbone), (None, None))
    config = IA3Config(target_modules=targets, feedforward_modules=inner)
    inject_adapter_in_model(config, factory.backbone.model)
    for name, parameter in factory.backbone.model.named_parameters():
        # peft has no choice of layers for it
        number = re.search(r"\.(\d+)\.", name)
        if number is not None and int(number[1]) not in layers:
            parameter.requires_grad_(False)
    return TunedBackbone(factory.backbone, factory.head())


def adapters(factory: ModelFactory, size: int) -> PromptedModel:
    """Put bottleneck adapters of width `size` behind attention and feed-forward (arXiv 1902.00751)."""
    backbone = factory.backbone
    names = OUTPUTS.get(_model_type(backbone))
    if names is None:
        raise TrialFailed(
            f"Where a {_model_type(backbone)} has its projections is not known, which adapters need. Choose "
            f"one of {', '.join(OUTPUTS)}."
        )
    matching = [
        name for name, _ in backbone.model.named_modules() if re.search(rf"({'|'.join(names)})$", name)
    ]
    for name in matching:
        projection = backbone.model.get_submodule(name)
        adapter = BottleneckAdapter(backbone.hidden_size, size).to(backbone.device)
        backbone.model.set_submodule(name, nn.Sequential(projection, adapter))
    return TunedBackbone(backbone, factory.head())


def prefix_tuning(factory: ModelFactory, size: int) -> PromptedModel:
    """Learn `size` keys and values a layer: Prefix-Tuning (arXiv 2101.00190), not reparameterised."""
    transformer = factory.backbone.transformer
    taken = [name for name in PAST if name in inspect.signature(transformer.forward).parameters]
    if not taken:
        raise TrialFailed(
            f"A {_model_type(factory.backbone)} takes no keys and values from outside, which Prefix-Tuning "
            "needs. Choose another backbone, or deep prompts."
        )
    config = PrefixTuningConfig(num_virtual_tokens=size, task_type=TaskType.FEATURE_EXTRACTION)
    wrapped = get_peft_model(transformer, config)
    return PrefixedModel(factory.backbone, factory.head(), wrapped, taken[0])


def p_tuning_mlp(factory: ModelFactory, size: int) -> PromptedModel:
    """Learn `size` vectors at the input, made by an MLP: P-Tuning (arXiv 2103.10385)."""
    return _p_tuning(factory, size, "MLP")


def p_tuning_lstm(factory: ModelFactory, size: int) -> PromptedModel:
    """Learn `size` vectors at the input, made by a two-way LSTM and an MLP: P-Tuning (arXiv 2103.10385)."""
    return _p_tuning(factory, size, "LSTM")


def _p_tuning(factory: ModelFactory, size: int, kind: str) -> PromptedModel:
    hidden_size = factory.backbone.hidden_size
    config = PromptEncoderConfig(
        num_virtual_tokens=size,
        token_dim=hidden_size,
        num_transformer_submodules=1,
        encoder_reparameterization_type=kind,
        encoder_hidden_size=hidden_size,
        encoder_num_layers=2,
        encoder_dropout=0.0,
    )
    insert = InsertPrompt(EncodedPrompt(PromptEncoder(config), size))
    above = [Propagate() for _ in range(factory.backbone.num_layers - 1)]
    return PromptedModel(factory.backbone, [insert, *above], factory.head())


@dataclass(frozen=True)
class Baseline:
    """A method, and its one size where it has one: rank, width or length."""

    make: Make
    size: int = 0


BASELINES = {
    "full": Baseline(full),
    "bitfit": Baseline(bitfit),
    "lora": Baseline(lora, 8),
    "lora_upper": Baseline(lora_upper, 8),
    "ia3": Baseline(ia3),
    "ia3_upper": Baseline(ia3_upper),
    "adapters": Baseline(adapters, 64),
    "prefix_tuning": Baseline(prefix_tuning, 10),
    "p_tuning_mlp": Baseline(p_tuning_mlp, 10),
    "p_tuning_lstm": Baseline(p_tuning_lstm, 10),
}


def size_of(method: str, size: int | None) -> int:
    """Return a baseline's size: its default for None, 0 where it has none."""
    return size or BASELINES[method].size


def baseline_model(method: str, factory: ModelFactory, size: int | None = None) -> PromptedModel:
    """Make a baseline's model, to be trained by `spt.training.fit` like any other.

    Args:
        method: a name of BASELINES.
        factory: over a backbone that no other model uses: most baselines change it.
        size: rank, width or length; None for the method's default.

    Raises:
        InputError: if there is no such method, or it takes no size.
        TrialFailed: if the backbone does not suit it: other methods may still be run.
    """
    if method not in BASELINES:
        raise unknown("baseline", method, BASELINES)
    baseline = BASELINES[method]
    if size is not None and (size < 1 or not baseline.size):
        allowed = "at least 1" if baseline.size else "left out: this method has none"
        raise InputError(f"The size of the baseline '{method}' is {size}, but must be {allowed}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(factory.seed)
        # Lightning leaves every part in the mode it finds
        return baseline.make(factory, size_of(method, size)).train()


def _model_type(backbone: Backbone) -> str:
    return str(backbone.model.config.model_type)
