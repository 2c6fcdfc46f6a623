"""Ways of answering many tasks with peft's LoRA: adapters switched, mixed in a batch, merged into copies.

Each gets its texts tokenized once for all tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import AutoModelForSequenceClassification

from benchmarks.serving.systems import Setup, System, Texts, in_process, tokenizer_of
from spt.assets import backbone_path


def lora_switched(setup: Setup, tasks: int) -> System:
    """Ask one adapter after another, over one backbone."""
    model, names = _shared_adapters(setup, tasks), _names(tasks)

    def answer(texts: Texts) -> Any:
        inputs, rows = _tokens(setup, texts), []
        for name in names:
            model.set_adapter(name, inference_mode=True)
            rows.append(_probabilities(model, inputs))
        return np.stack(rows)

    return in_process(torch.inference_mode()(answer))


def lora_mixed(setup: Setup, tasks: int) -> System:
    """Ask all adapters in one batch, each row by its own."""
    model, names = _shared_adapters(setup, tasks), _names(tasks)

    def answer(texts: Texts) -> Any:
        inputs = {name: value.repeat(tasks, 1) for name, value in _tokens(setup, texts).items()}
        adapters = [name for name in names for _ in texts]
        return _probabilities(model, inputs, adapter_names=adapters).reshape(tasks, len(texts), -1)

    return in_process(torch.inference_mode()(answer))


def lora_merged(setup: Setup, tasks: int) -> System:
    """Ask one copy of the backbone after another, each with an adapter merged into it."""
    models: list[Any] = [_with_adapters(setup, 1).merge_and_unload() for _ in range(tasks)]

    def answer(texts: Texts) -> Any:
        inputs = _tokens(setup, texts)
        return np.stack([_probabilities(model, inputs) for model in models])

    return in_process(torch.inference_mode()(answer))


def _names(tasks: int) -> list[str]:
    return [f"task_{number}" for number in range(tasks)]


@lru_cache(maxsize=1)
def _shared_adapters(setup: Setup, tasks: int) -> PeftModel:
    """Load what two systems share, and keep no other number of tasks in memory."""
    return _with_adapters(setup, tasks)


def _with_adapters(setup: Setup, tasks: int) -> PeftModel:
    """Load the backbone with a random adapter and a head of its own for each task."""
    auto: Any = AutoModelForSequenceClassification
    model = auto.from_pretrained(backbone_path(setup.backbone), num_labels=setup.classes)
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=setup.lora_rank,
        target_modules=["query", "value"],
        init_lora_weights=False,
    )
    first, *others = _names(tasks)
    adapted = get_peft_model(model, config, adapter_name=first)
    for name in others:
        adapted.add_adapter(name, config)
    return adapted.eval()


def _tokens(setup: Setup, texts: Texts) -> dict[str, torch.Tensor]:
    tokenizer = tokenizer_of(setup)
    return dict(tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt"))


def _probabilities(model: Callable[..., Any], inputs: dict[str, torch.Tensor], **options: Any) -> Any:
    return model(**inputs, **options).logits.softmax(-1).numpy()
