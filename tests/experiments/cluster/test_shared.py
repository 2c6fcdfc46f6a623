import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments import pipeline
from experiments.cluster.shared import SharedWorkbench, share
from experiments.run.training import load_workbench
from experiments.tuning.trial import run_trial
from tests.support.runs import tiny_config


def travelled(assets: SharedWorkbench) -> SharedWorkbench:
    """As Ray carries them: the arrays beside the pickle, read only at their end."""
    buffers: list[Any] = []
    packed = pickle.dumps(assets, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(packed, buffers=[bytes(buffer.raw()) for buffer in buffers])


def shared_tiny(folder: Path) -> SharedWorkbench:
    config = tiny_config(folder)
    return share(load_workbench(config), config)


@pytest.mark.slow
def test_a_run_over_shared_assets_gives_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path)
    whole = pipeline.run(config, tmp_path / "whole").as_json()
    assets = travelled(share(load_workbench(config), config))
    for loads in ("load_backbone", "load_tokenizer", "load_splits", "encode"):
        monkeypatch.setattr(f"spt.workbench.{loads}", lambda *_, **__: pytest.fail("something was loaded"))
    shared = run_trial(config, tmp_path / "shared", lambda *_: None, assets)
    names = ("layers", "gates", "dev_accuracy", "test_accuracy", "train_flops", "search_flops", "train_size")
    assert {name: shared[name] for name in names} == {name: whole[name] for name in names}


def test_weights_are_mapped_and_never_copied(tmp_path: Path) -> None:
    assets = shared_tiny(tmp_path)
    size = sum(weight.nbytes for weight in assets.weights.values())
    assert len(pickle.dumps(assets.skeleton)) < size / 4
    there = travelled(assets)
    backbone = there.backbone()
    for name, parameter in backbone.named_parameters():
        mapped = parameter.detach().flatten().view(torch.uint8).numpy()
        assert np.shares_memory(mapped, there.weights[name])
    assert backbone.fingerprint == load_workbench(tiny_config(tmp_path)).backbone.fingerprint
    assert "fingerprint" in backbone.__dict__


@pytest.mark.parametrize(
    ("sections", "served"),
    [
        ({"training": {"epochs": 7}, "threads": 2}, True),
        ({"data": {"dev_size": 10}}, False),
        ({"head": {"kind": "verbalizer"}}, False),
        ({"seed": 1}, False),
    ],
)
def test_other_data_or_backbones_are_not_served(
    tmp_path: Path, sections: dict[str, Any], served: bool
) -> None:
    assets = shared_tiny(tmp_path)
    assert assets.serves(tiny_config(tmp_path, **sections)) == served
