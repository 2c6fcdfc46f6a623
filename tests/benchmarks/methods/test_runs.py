"""Searches and runs with prompts that add, share and start at words: they train, are saved and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.pipeline import run, train
from spt.serving.classifier import PromptClassifier
from tests.support.runs import tiny_config

TEXTS = ["the film was dull", "it was lovely"]
IDPG = {"generator": "naive", "length": 3, "bottleneck": 8, "phm_order": 4, "shared": True, "combine": "add"}
SOFT = {"generator": "free", "length": 3, "combine": "add", "init_std": 0.02}
TUNED = {"generator": "free", "length": 3, "init": "vocabulary"}


@pytest.mark.slow
@pytest.mark.parametrize("prompt", [IDPG, SOFT, TUNED], ids=["idpg", "soft_words", "prompt_tuning"])
def test_their_layers_can_be_searched_and_the_result_is_read_back(
    prompt: dict[str, Any], tmp_path: Path
) -> None:
    config = tiny_config(
        tmp_path, prompt=prompt, search={"epochs": 1, "inherit": True}, training={"epochs": 1, "patience": 1}
    )
    metrics = run(config, tmp_path / "run")
    assert len(metrics.layers) == 2
    trained = train(config, tmp_path / "run")
    loaded = PromptClassifier.from_pretrained(tmp_path / "run" / "model")
    assert loaded.predict(TEXTS) == trained.predict(TEXTS)
    chosen = [loaded.model.choices[layer] for layer in metrics.layers]
    parts = {id(getattr(choice.generator, "shared", choice.generator)) for choice in chosen}
    assert len(parts) == (1 if loaded.spec.prompt.shared else 2)
    assert all(choice.adds == (prompt.get("combine") == "add") for choice in chosen)
