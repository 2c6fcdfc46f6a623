"""Every family serves a mixed batch as each classifier alone would."""

from __future__ import annotations

import pytest
import torch

from spt.architecture import PromptLayers
from spt.build import new_factory
from spt.model import trained
from spt.prompts.config import PromptConfig
from spt.serving.classifier import PromptClassifier
from spt.serving.server import PromptServer, Request
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import get_task
from tests.support.classifiers import TEXTS
from tests.support.families import FAMILIES, attentions, shared_backbone
from tests.support.tiny import make_tokenizer

PROMPTS = {
    "early": ((0, 2), PromptConfig(length=4, bottleneck=8)),
    "offset": ((1, 2), PromptConfig(length=3, bottleneck=8, token_offset=True)),
    "late": ((2,), PromptConfig(length=2, bottleneck=8, generator="naive")),
    "free": ((1,), PromptConfig(length=3, generator="free")),
    "adding": ((0, 1, 2), PromptConfig(length=2, bottleneck=8, combine="add")),
    "none": ((), PromptConfig()),
}


def new_classifier(family: str, seed: int, layers: tuple[int, ...], prompt: PromptConfig) -> PromptClassifier:
    tokenizer = make_tokenizer()
    spec = ModelSpec(
        backbone=BackboneConfig(name=family),
        head=HeadConfig(),
        prompt=prompt,
        task=get_task("custom", labels=("bad", "good")),
        max_length=32,
    )
    factory = new_factory(spec, shared_backbone(family, attentions(family)[0]), tokenizer, seed)
    architecture = PromptLayers.of(layers, 3)
    model = factory.model(architecture)
    # where generators start, prompts do not depend on the text and tokens do not move
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in trained(model):
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return PromptClassifier(model, tokenizer, spec, architecture)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_gives_what_each_classifier_gives_alone(family: str) -> None:
    served = {
        name: new_classifier(family, seed, *shape) for seed, (name, shape) in enumerate(PROMPTS.items())
    }
    answers = PromptServer(served).predict([Request(name, text) for text in TEXTS for name in served])
    alone = {name: classifier.predict(TEXTS) for name, classifier in served.items()}
    expected = [alone[name][row] for row in range(len(TEXTS)) for name in served]
    assert [answer.label for answer in answers] == [answer.label for answer in expected]
    assert [answer.probability for answer in answers] == pytest.approx(
        [answer.probability for answer in expected], abs=1e-5
    )
