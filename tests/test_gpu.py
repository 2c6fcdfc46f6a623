"""A run on the accelerator, where there is one."""

from pathlib import Path

import pytest
import torch

from experiments.pipeline import run
from spt.serving.classifier import PromptClassifier
from spt.serving.neighbours import read_prompts
from spt.serving.request import Request
from spt.serving.server import PromptServer
from tests.support.runs import tiny_config

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.accelerator.is_available(), reason="there is no accelerator"),
]
TEXTS = ["the film was lovely", "the plot was dull and very very poor ."]


@pytest.mark.parametrize(
    "sections",
    [
        {"prompt": {"generator": "free", "init": "vocabulary"}},
        {"prompt": {"generator": "pooled", "shared": True, "combine": "add"}},
        {"prompt": {"generator": "naive", "position_bias": False, "zero_start": False}},
        {"training": {"contrastive_steps": 5}},
    ],
    ids=["prompt_tuning", "idpg", "lpt", "contrastive"],
)
def test_methods_train_on_the_accelerator_and_answer_as_on_the_cpu(sections: dict, tmp_path: Path) -> None:
    layers = {"strategy": "manual", "manual_layers": [0, 2]}
    metrics = run(tiny_config(tmp_path, search=layers, **sections), tmp_path / "run")
    assert metrics.train_flops > 0
    loaded = PromptClassifier.from_pretrained(tmp_path / "run" / "model")
    expected = loaded.predict(TEXTS)
    loaded.model.to(torch.accelerator.current_accelerator())
    requests = [Request("one", text) for text in TEXTS]
    for one in (loaded.predict(TEXTS), PromptServer({"one": loaded}).predict(requests)):
        for answer, alone in zip(one, expected, strict=True):
            assert answer.probability == pytest.approx(alone.probability, abs=1e-3)
    assert read_prompts(loaded, text=TEXTS[0])
