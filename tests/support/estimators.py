"""Estimators over the tiny backbone, and texts in memory for them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from experiments.estimator import SPTClassifier
from tests.support.tiny import make_backbone, make_data

QUERIES = ["the film was lovely", "dull", "it was very poor and the plot was awful", "great film"]


def tiny_texts(home: Path, rows: int = 120) -> tuple[list[str], list[str]]:
    """Return texts and labels, 'bad' and 'good' by turns, that a single word decides."""
    path = home / f"texts-{rows}.csv"
    with make_data(path, rows).open(newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    return [record["text"] for record in records], [record["label"] for record in records]


def tiny_estimator(home: Path, **parameters: Any) -> SPTClassifier:
    """Make an estimator that fits in a second or two; `parameters` go over its own."""
    backbone = home / "backbone"
    if not backbone.exists():
        make_backbone(backbone)
    own: dict[str, Any] = {
        "backbone": str(backbone),
        "layers": [1, 3],
        "epochs": 4,
        "batch_size": 8,
        "learning_rate": 0.1,
        "max_length": 32,
        "prompt": {"length": 3, "bottleneck": 8, "phm_order": 2, "token_offset": False},
        "threads": 1,
        # a test must leave nothing in the user's cache folder
        "cache": "off",
    }
    return SPTClassifier(**{**own, **parameters})


def same(first: SPTClassifier, second: SPTClassifier) -> bool:
    """Say whether two estimators answer with the same bits."""
    return bool(np.array_equal(first.predict_proba(QUERIES), second.predict_proba(QUERIES)))
