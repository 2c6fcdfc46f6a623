"""Every family answers several tasks at once as each classifier alone would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from spt.answers.options import AnswerRule
from spt.architecture import PromptLayers
from spt.build import new_factory
from spt.model import trained
from spt.prompts.config import PromptConfig
from spt.serving.classifier import PromptClassifier
from spt.serving.request import Request
from spt.serving.server import PromptServer
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import Task, get_task
from tests.support.classifiers import TEXTS
from tests.support.families import FAMILIES, attentions, shared_backbone
from tests.support.tiny import make_tokenizer


@dataclass(frozen=True)
class Shape:
    """Layers, prompt and what else of a task's prompt differs from others."""

    layers: tuple[int, ...]
    prompt: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)


VERBAL = {"head": HeadConfig(kind="verbalizer")}
SHAPES = {
    "early": Shape((0, 2), {"length": 4}),
    "offset": Shape((1, 2), {"token_offset": True}),
    "late": Shape((2,), {"length": 2, "generator": "naive"}),
    "free": Shape((1,), {"generator": "free"}),
    "adding": Shape((0, 1, 2), {"length": 2, "combine": "add"}),
    "none": Shape(()),
    "three": Shape((1, 2), {"length": 6}, {"labels": ("bad", "good", "other")}),
    "sets": Shape((2,), {}, {"multi_label": True}),
    "calibrated": Shape((1,), {}, {}, {"answers": AnswerRule(temperature=3.0)}),
    "windows": Shape((1,), {}, {}, {"max_length": 6, "windows": 2}),
    "words": Shape((2,), {}, {"label_words": ("awful", "great"), "template": "{text} It {mask} ."}, VERBAL),
    "others": Shape((0, 1), {}, {"label_words": ("poor", "fine"), "template": "It {mask} . {text}"}, VERBAL),
}


def new_classifier(family: str, seed: int, shape: Shape) -> PromptClassifier:
    tokenizer = make_tokenizer()
    prompt = PromptConfig.model_validate({"length": 3, "bottleneck": 8, **shape.prompt})
    task = {**get_task("custom").model_dump(exclude_unset=True), "labels": ("bad", "good"), **shape.task}
    spec = ModelSpec(
        **{
            "backbone": BackboneConfig(name=family),
            "head": HeadConfig(),
            "prompt": prompt,
            "task": Task.model_validate(task),
            "max_length": 32,
            **shape.spec,
        }
    )
    factory = new_factory(spec, shared_backbone(family, attentions(family)[0]), tokenizer, seed)
    architecture = PromptLayers.of(shape.layers, 3)
    model = factory.model(architecture)
    # where generators start, prompts do not depend on the text and tokens do not move
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in trained(model):
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return PromptClassifier(model, tokenizer, spec, architecture)


@pytest.mark.parametrize("family", FAMILIES)
def test_tasks_together_answer_as_each_alone(family: str) -> None:
    tasks = {name: new_classifier(family, seed, shape) for seed, (name, shape) in enumerate(SHAPES.items())}
    alone = {name: task.predict_proba(TEXTS) for name, task in tasks.items()}
    server = PromptServer(tasks, cache_bytes=2**20)
    for names in (["late", "sets"], list(tasks), list(reversed(tasks))):
        # the second and third time in part from the cache
        requests = [Request(name, text) for text in TEXTS for name in names]
        for request, row in zip(requests, server.probabilities(requests, batch_size=16), strict=True):
            expected = alone[request.task][TEXTS.index(request.text)]
            np.testing.assert_allclose(row, expected, atol=1e-5, err_msg=request.task)
    assert server.cache.statistics().hits > 0
