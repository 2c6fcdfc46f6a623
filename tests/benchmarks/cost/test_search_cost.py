"""Whole runs beside peft's PromptTuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import record
from benchmarks.cost import search_cost
from benchmarks.cost.search_cost import UNIT, PeftPromptTuning, measure_search_cost, peft_training
from spt.heads import ClassificationHead
from spt.model import trained
from tests.support.families import batch, tiny_backbone
from tests.support.runs import tiny_config


def test_pefts_model_trains_its_prompt_and_the_head_alone() -> None:
    torch.manual_seed(0)
    backbone = tiny_backbone("bert")
    model = PeftPromptTuning(backbone, ClassificationHead(backbone.hidden_size, 2), length=3)
    learned = {name for name, p in trained(model) if p.requires_grad}
    assert sum(p.numel() for name, p in trained(model) if name in learned) == 3 * 32 + 2 * 32 + 2
    rows = batch("bert", [6, 4])
    model(rows).logits.square().sum().backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if name in learned)
    assert all(p.grad is None for p in backbone.model.bert.encoder.parameters())
    model.eval()
    before = model(rows).logits
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if "prompt_encoder" in name).mul_(-3)
    assert not torch.allclose(model(rows).logits, before)


def test_a_record_a_training_in_units_of_pefts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))

    def config_of(seed: int, overrides: list[str]) -> Any:
        manual = any("manual" in override for override in overrides)
        search = {"strategy": "manual", "manual_layers": [1, 3]} if manual else {}
        return tiny_config(tmp_path, seed=seed, search=search, baselines=False)

    monkeypatch.setattr(search_cost, "config_of", config_of)
    result = json.loads(measure_search_cost(50, 2, 1, 0, "search_cost").read_text(encoding="utf-8"))
    records = {r["name"]: r for r in result["records"]}
    assert list(records) == [UNIT, "spt_darts", "late_two"]
    assert records[UNIT]["ratio_flops"] == records[UNIT]["ratio_time"] == 1
    assert records["late_two"]["layers"] == [1, 3]
    flops = {name: record["total_flops"] for name, record in records.items()}
    assert flops["late_two"] < flops[UNIT] < flops["spt_darts"]
    assert result["ratios"]["flops"] == flops["spt_darts"] / flops[UNIT]
    # states that a run keeps are its own
    assert not (tmp_path / "cache").exists()
    assert all(0 <= r["test_metric"] <= 1 and 0 <= r["dev_metric"] <= 1 for r in records.values())


def test_the_settings_of_the_bench_are_a_configuration() -> None:
    config = search_cost.config_of(3, search_cost.overrides_of(1000, 4))
    assert (config.seed, config.data.train_size, config.search.epochs, config.training.patience) == (
        3,
        1000,
        4,
        4,
    )


def test_pefts_training_learns(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, training={"epochs": 3, "learning_rate": 0.05})
    found = peft_training(config, tmp_path / "run")
    assert found["dev_metric"] > 0.55
    assert found["total_flops"] > 0
