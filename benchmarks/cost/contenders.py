"""What the speed benchmark compares: our architectures, peft's methods, full fine-tuning, a frozen pass.

All use the same optimiser, AdamW in its fused form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from torch import Tensor, nn
from torch.optim import AdamW
from transformers import BertConfig, BertForSequenceClassification, BertModel

from benchmarks.baselines.methods import baseline_model
from benchmarks.cost.measure import Step
from spt.architecture import PromptLayers
from spt.backbones.bert import BertBackbone
from spt.build import ModelFactory
from spt.heads import ClassificationHead
from spt.model import PromptedModel
from spt.prompts.config import PromptConfig
from spt.start import Start

CLASSES = 2
VOCABULARY = 1000


@dataclass(frozen=True)
class Shape:
    """B, T, P, L and H of a measurement, K layers where a method takes so many; a head has 64 of H."""

    batch: int = 8
    tokens: int = 128
    prompt: int = 10
    layers: int = 12
    hidden: int = 768

    def backbone(self) -> BertConfig:
        """Return a BERT's configuration; its embedding table, which is not measured, is small."""
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.hidden // 64,
            intermediate_size=4 * self.hidden,
        )
        config.num_labels = CLASSES
        return config

    def rows(self, device: torch.device) -> dict[str, Tensor]:
        """Return a batch without padding."""
        ids = torch.randint(VOCABULARY, (self.batch, self.tokens), device=device)
        labels = torch.randint(CLASSES, (self.batch,), device=device)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


@dataclass(frozen=True)
class Contender:
    """A method: one step of it, and the parameters that do not count as activations."""

    name: str
    step: Step
    parameters: list[Tensor]


Maker = Callable[[], Contender]


def contenders(shape: Shape, device: torch.device) -> dict[str, Maker]:
    """Return what makes each method, all on the same rows; ours share one backbone, made when first used."""
    rows = shape.rows(device)
    backbone = cache(lambda: random_backbone(shape, device))
    makers: dict[str, Maker] = {
        **prompted(shape, rows, device, backbone),
        "frozen_forward": lambda: _frozen_forward(model_of(shape, backbone(), ()).to(device), rows),
    }
    for name, config in peft_configs(shape).items():
        makers[name] = partial(peft_method, name, config, shape, rows, device)
    makers["peft_prefix_tuning"] = partial(prefix_tuning, shape, rows, device)
    makers["full_fine_tuning"] = partial(full_fine_tuning, shape, rows, device)
    return makers


def prompted(
    shape: Shape, rows: Mapping[str, Tensor], device: torch.device, backbone: Callable[[], Any]
) -> dict[str, Maker]:
    """Return ours with fixed layers: with a cached prefix or none, compiled, and the ends of the spectrum."""

    def train(name: str, layers: tuple[int, ...], cached: bool = False, **changes: Any) -> Contender:
        model = model_of(shape, backbone(), layers, **changes).to(device)
        if name.endswith("compiled"):
            model.compile()
        return _training(name, model, rows, model.prefix(rows) if cached else None)

    middle, late = shape.layers // 2, 3 * shape.layers // 4
    four = late_layers(shape.layers)
    makers = {
        "spt_" + "_".join(map(str, four)): partial(train, layers=four),
        f"late_{middle}": partial(train, layers=(middle,)),
        f"late_{middle}_cached": partial(train, layers=(middle,), cached=True),
        f"late_{middle}_cached_compiled": partial(train, layers=(middle,), cached=True),
        f"late_{late}_cached": partial(train, layers=(late,), cached=True),
        "head": partial(train, layers=()),
        "head_cached": partial(train, layers=(), cached=True),
        "input_prompt": partial(train, layers=(0,), generator="free"),
    }
    return {name: partial(make, name) for name, make in makers.items()}


def random_backbone(shape: Shape, device: torch.device) -> BertBackbone:
    """Make a frozen BERT of a shape, its random weights drawn where it is to stand."""
    with device:
        return BertBackbone(BertModel(shape.backbone()))


def random_classifier(shape: Shape, device: torch.device) -> Any:
    """Make transformers' own BERT with a head, its random weights drawn where it is to stand."""
    with device:
        return BertForSequenceClassification(shape.backbone())


def late_layers(total: int) -> tuple[int, ...]:
    """Return four layers of the upper two thirds: 4, 7, 9 and 11 of 12."""
    return (total // 3, 7 * total // 12, 3 * total // 4, total - 1)


def peft_configs(shape: Shape) -> dict[str, PeftConfig]:
    """Return peft's methods at their own defaults, with our prompt length."""
    task, length = TaskType.SEQ_CLS, shape.prompt
    return {
        "peft_prompt_tuning": PromptTuningConfig(task_type=task, num_virtual_tokens=length),
        "peft_p_tuning": PromptEncoderConfig(
            task_type=task, num_virtual_tokens=length, encoder_hidden_size=128
        ),
        "peft_lora": LoraConfig(task_type=task, r=8, target_modules=["query", "value"]),
    }


def peft_method(
    name: str, config: PeftConfig, shape: Shape, rows: Mapping[str, Tensor], device: torch.device
) -> Contender:
    """Make a method of peft as its users train it, dropout included."""
    model = get_peft_model(random_classifier(shape, device), config).to(device).train()
    return _supervised(name, model, rows)


def prefix_tuning(shape: Shape, rows: Mapping[str, Tensor], device: torch.device) -> Contender:
    """Make peft's Prefix-Tuning in the baseline's model: BERT may not have the name that peft uses."""
    factory = factory_of(shape, random_backbone(shape, device))
    model = baseline_model("prefix_tuning", factory, shape.prompt).to(device)
    return _training("peft_prefix_tuning", model, rows)


def full_fine_tuning(shape: Shape, rows: Mapping[str, Tensor], device: torch.device) -> Contender:
    """Make the training of every weight."""
    return _supervised("full_fine_tuning", random_classifier(shape, device).train(), rows)


def factory_of(shape: Shape, backbone: Any, **changes: Any) -> ModelFactory:
    """Return what makes models of a shape; `changes` go over the prompt's configuration."""
    prompt = PromptConfig(length=shape.prompt, **changes)
    return ModelFactory(backbone, prompt, lambda: ClassificationHead(shape.hidden, CLASSES), seed=0)


def model_of(shape: Shape, backbone: Any, layers: Sequence[int], **changes: Any) -> PromptedModel:
    """Make a model with prompts at `layers`; `changes` go over the prompt's configuration."""
    return factory_of(shape, backbone, **changes).model(PromptLayers.of(layers, shape.layers))


def _training(
    name: str, model: PromptedModel, rows: Mapping[str, Any], start: Start | None = None
) -> Contender:
    def loss() -> Tensor:
        return nn.functional.cross_entropy(model(rows, start).logits, rows["labels"])

    return _contender(name, model, loss)


def _supervised(name: str, model: nn.Module, rows: Mapping[str, Tensor]) -> Contender:
    def loss() -> Tensor:
        loss: Tensor = model(**rows).loss
        return loss

    return _contender(name, model, loss)


def _contender(name: str, model: nn.Module, loss: Callable[[], Tensor]) -> Contender:
    optimizer = AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)
    return Contender(name, lambda: descend(optimizer, loss()), list(model.parameters()))


def _frozen_forward(model: PromptedModel, rows: Mapping[str, Any]) -> Contender:
    """Make the floor: the backbone alone, without gradients."""

    @torch.no_grad()
    def step() -> None:
        model(rows)

    return Contender("frozen_forward", step, list(model.parameters()))


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step of an optimiser."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
