"""Prompts over a real backbone, and requests with real questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

from benchmarks.http_load.client import Body
from spt.architecture import PromptLayers
from spt.data.config import DataConfig
from spt.data.loading import load_splits
from spt.serving.classifier import PromptClassifier
from spt.tasks import get_task
from spt.workbench import Workbench

BACKBONE, TASK = "minilm-l6", "trec"
# tasks, and the layers of their prompts; what a prompt says takes no other time, so none is trained
LAYERS: Mapping[str, tuple[int, ...]] = {"a": (3,), "b": (3, 5), "c": (4,), "d": (4, 5)}
MOST_TEXTS = 4
BODIES = 2000


def save_prompts(shelf: Path) -> Path:
    """Save an untrained prompt for each task, and return their folder."""
    bench = Workbench.load(get_task(TASK), data=DataConfig(train_size=100), backbone=BACKBONE)
    for name, chosen in LAYERS.items():
        layers = PromptLayers.of(chosen, bench.num_layers)
        model = bench.factory.model(layers)
        PromptClassifier(model, bench.tokenizer, bench.spec, layers).save_pretrained(shelf / name)
    return shelf


def request_bodies(seed: int) -> list[Body]:
    """Draw requests of 1 to 4 questions for all tasks."""
    texts = load_splits(get_task(TASK), DataConfig(), seed=0)["test"]["text"][:]
    random = Random(seed)  # noqa: S311
    return [{"texts": random.sample(texts, random.randint(1, MOST_TEXTS))} for _ in range(BODIES)]
