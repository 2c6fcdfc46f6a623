"""Classifiers over the tiny backbone, and texts for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from spt.architecture import PromptLayers
from spt.model import trained
from spt.serving.classifier import PromptClassifier
from tests.support.tiny import LAYERS, tiny_workbench

TEXTS = ["the film was lovely", "dull", "it was very poor and the plot was awful", "great", "the plot"]


def classifier(home: Path, layers: tuple[int, ...] | dict[int, str], **sections: Any) -> PromptClassifier:
    run = tiny_workbench(home, **sections)
    architecture = PromptLayers.of(layers, LAYERS)
    model = run.factory.model(architecture).eval()
    return PromptClassifier(model, run.tokenizer, run.spec, architecture)


def kinds_classifier(home: Path, kinds: dict[int, str], seed: int = 0, **sections: Any) -> PromptClassifier:
    """A classifier whose layers each got a kind, with no weight at its zero start."""
    made = classifier(home, kinds, seed=seed, **sections)
    generator = torch.Generator().manual_seed(seed)
    for _, parameter in trained(made.model):
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return made
