"""Ways of answering many tasks with prompts of ours: fan-out, one task after another, a model each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.build import load_backbone, load_tokenizer, new_factory
from spt.flops import flops
from spt.prompts.config import PromptConfig
from spt.serving.classifier import PromptClassifier
from spt.serving.request import Request
from spt.serving.server import PromptServer
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import get_task

Texts = Sequence[str]
# of the known texts, more than any bench asks for
CACHE_BYTES = 2**30


@dataclass(frozen=True)
class Setup:
    """Say what is served.

    Attributes:
        backbone: of all systems.
        first_layer: where the prompts of all tasks begin.
        prompt_length: P.
        classes: C of every task.
        max_length: tokens of the longest input.
        lora_rank: of every LoRA adapter.
    """

    backbone: str = "e5-small"
    first_layer: int = 8
    prompt_length: int = 10
    classes: int = 6
    max_length: int = 128
    lora_rank: int = 8

    @property
    def spec(self) -> ModelSpec:
        """Return what the models of all tasks are built by; they differ in their seeds."""
        labels = tuple(f"class {number}" for number in range(self.classes))
        return ModelSpec(
            backbone=BackboneConfig(name=self.backbone),
            head=HeadConfig(),
            prompt=PromptConfig(length=self.prompt_length, zero_start=False),
            task=get_task("custom", labels=labels),
            max_length=self.max_length,
        )


class System(NamedTuple):
    """Hold a way of answering.

    Attributes:
        answer: gives every task's answer to every text, class probabilities [tasks, texts, C] or what a
            system has instead of them.
        flops: counts the operations of answering.
        close: ends what was started for it.
    """

    answer: Callable[[Texts], Any]
    flops: Callable[[Texts], int]
    close: Callable[[], None] = lambda: None


NewSystem = Callable[[Setup, int], System]


def in_process(answer: Callable[[Texts], Any]) -> System:
    """Return a system that computes in this process."""
    return System(answer, lambda texts: flops(lambda: answer(texts)))


@cache
def tokenizer_of(setup: Setup) -> Any:
    """Load the tokenizer once."""
    return load_tokenizer(setup.spec)


@cache
def shared_backbone(setup: Setup) -> Backbone:
    """Load the backbone that several systems share, once."""
    return load_backbone(setup.spec)


def new_classifier(setup: Setup, seed: int, backbone: Backbone) -> PromptClassifier:
    """Make a task's prompt with random weights: what it takes does not depend on them."""
    layers = PromptLayers.of((setup.first_layer,), backbone.num_layers)
    model = new_factory(setup.spec, backbone, tokenizer_of(setup), seed).model(layers).eval()
    return PromptClassifier(model, tokenizer_of(setup), setup.spec, layers)


def fan_out(setup: Setup, tasks: int) -> System:
    """Serve all tasks by one trunk and its branches."""
    return in_process(_fan_out_answer(setup, tasks, cache_bytes=0))


def fan_out_known(setup: Setup, tasks: int) -> System:
    """Serve all tasks about texts whose trunk is in the cache, once they have been asked about."""
    answer = _fan_out_answer(setup, tasks, CACHE_BYTES)

    def known_flops(texts: Texts) -> int:
        answer(texts)
        return flops(lambda: answer(texts))

    return System(answer, known_flops)


def separate_passes(setup: Setup, tasks: int) -> System:
    """Ask one task after another, over one backbone."""
    classifiers = _classifiers(setup, tasks)
    return in_process(lambda texts: np.stack([task.predict_proba(texts) for task in classifiers.values()]))


def separate_models(setup: Setup, tasks: int) -> System:
    """Ask one task after another, each with a backbone of its own."""
    classifiers = [new_classifier(setup, seed, load_backbone(setup.spec)) for seed in range(tasks)]
    return in_process(lambda texts: np.stack([task.predict_proba(texts) for task in classifiers]))


def _fan_out_answer(setup: Setup, tasks: int, cache_bytes: int) -> Callable[[Texts], Any]:
    classifiers = _classifiers(setup, tasks)
    server = PromptServer(classifiers, cache_bytes)

    def answer(texts: Texts) -> Any:
        requests = [Request(name, text) for name in classifiers for text in texts]
        return np.stack(server.probabilities(requests)).reshape(tasks, len(texts), -1)

    return answer


def _classifiers(setup: Setup, tasks: int) -> Mapping[str, PromptClassifier]:
    backbone = shared_backbone(setup)
    return {str(seed): new_classifier(setup, seed, backbone) for seed in range(tasks)}
