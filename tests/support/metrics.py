"""Metrics of a run that never was, for tests of what reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.run.results import RunMetrics
from spt.process.provenance import Provenance

METRICS = RunMetrics(
    task="cola",
    backbone="minilm-l6",
    strategy="spt_darts",
    seed=3,
    layers=(2, 4),
    layers_total=6,
    metric="matthews",
    dev_metric=0.41,
    test_metric=-0.02,
    dev_accuracy=0.7,
    test_accuracy=0.6,
    test_f1=0.5,
    gates={2: 0.9, 4: 0.8},
    scores=None,
    evaluations=9,
    prompt_parameters=100,
    head_parameters=20,
    tunable_parameters=120,
    search_seconds=1.5,
    train_seconds=2.0,
    total_seconds=3.5,
    search_steps=10,
    train_steps=20,
    train_epochs=2,
    search_flops=10**12,
    train_flops=2 * 10**12,
    total_flops=3 * 10**12,
    train_size=80,
    dev_size=40,
    test_size=20,
    provenance=Provenance("spt run x.yml", "2026-01-31", {"python": "3.12.3"}, {"cores": 2, "gpu": "none"}),
)


def run_metrics(**changes: Any) -> RunMetrics:
    """Return the metrics with other values where asked."""
    return replace(METRICS, **changes)
