"""Classifiers over the tiny backbone, and texts for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spt.architecture import PromptLayers
from spt.serving.classifier import PromptClassifier
from tests.support.tiny import LAYERS, tiny_workbench

TEXTS = ["the film was lovely", "dull", "it was very poor and the plot was awful", "great", "the plot"]


def classifier(home: Path, layers: tuple[int, ...], **sections: Any) -> PromptClassifier:
    run = tiny_workbench(home, **sections)
    architecture = PromptLayers.of(layers, LAYERS)
    model = run.factory.model(architecture).eval()
    return PromptClassifier(model, run.tokenizer, run.spec, architecture)
