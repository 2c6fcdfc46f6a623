"""Exports measured: accuracy and size of a real prompt in torch, ONNX, and ONNX of 8-bit weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.record import command_of, write_result
from experiments.config import RunConfig, checked
from experiments.pipeline import run
from spt.answers.decisions import class_probabilities
from spt.data.encoded.batches import make_loader
from spt.data.encoded.encoding import encode_texts
from spt.data.loading import load_splits
from spt.evaluation import pool_windows
from spt.export.folder import export_onnx
from spt.export.runtime import OnnxGraphs
from spt.serving.classifier import PromptClassifier

BACKBONE, TASK, LAYERS = "minilm-l6", "trec", [3]
BATCH = 32

Say = Callable[[str], None]
Probabilities = Callable[[list[str]], NDArray[Any]]


def measure_export(
    folder: Path = Path("runs/export"), train_size: int = 2000, result: str = "export", say: Say = print
) -> Path:
    """Train a prompt on TREC, export it both ways, and write benchmarks/results/<result>.json.

    Args:
        folder: of the run and the exports; the run is not repeated.
        train_size: questions to train on.
        result: name of the JSON.
        say: told a line a record.
    """
    config = _config(train_size)
    run(config, folder / "run")
    classifier = PromptClassifier.from_pretrained(folder / "run" / "model")
    test = load_splits(config.task, config.data, config.seed)["test"]
    texts, labels = test["text"][:], np.array(test["label"][:])
    records = []
    systems: dict[str, tuple[Probabilities, int]] = {
        "torch": (lambda rows: classifier.predict_proba(rows, batch_size=BATCH), _torch_bytes(classifier))
    }
    for name, int8 in (("onnx", False), ("onnx int8", True)):
        place = folder / name.replace(" ", "_")
        content = export_onnx(classifier, place, int8=int8)
        graphs = OnnxGraphs([place / graph for graph in content["graphs"]])
        size = sum((place / graph).stat().st_size for graph in content["graphs"])
        systems[name] = (_answerer(classifier, graphs), size)
    expected = systems["torch"][0](texts)
    for name, (answer, size) in systems.items():
        record = {
            "system": name,
            **_scores(answer, texts, labels, expected),
            "megabytes": round(size / 1e6, 1),
        }
        say(str(record))
        records.append(record)
    command = command_of("export", "--train-size", train_size, result=result)
    about: dict[str, Any] = {
        "backbone": BACKBONE,
        "task": TASK,
        "layers": LAYERS,
        "rows": len(texts),
        "batch_size": BATCH,
    }
    return write_result(result, command, records, **about)


def _config(train_size: int) -> RunConfig:
    tree = {
        "threads": 1,
        "task": TASK,
        "baselines": False,
        "data": {"train_size": train_size, "dev_size": 300, "max_length": 64},
        "backbone": {"name": BACKBONE},
        "search": {"strategy": "manual", "manual_layers": LAYERS},
        "training": {"epochs": 5, "patience": 5},
    }
    return checked(tree, "the benchmark")


def _answerer(classifier: PromptClassifier, graphs: OnnxGraphs) -> Probabilities:
    """Return what answers as `predict_proba` does, its batches among it, by the graphs."""
    spec = classifier.spec

    def answer(texts: list[str]) -> NDArray[Any]:
        examples = encode_texts(texts, None, classifier.tokenizer, spec)
        rows, chances = [], []
        for batch in make_loader(examples, classifier.tokenizer, BATCH):
            rows.append(batch["rows"])
            chances.append(class_probabilities(torch.from_numpy(graphs.logits(dict(batch))), spec.task))
        labels = torch.zeros(len(texts), dtype=torch.long)
        pooled = pool_windows(torch.cat(rows), torch.cat(chances), labels)
        return spec.answers.calibrated(np.asarray(pooled.probabilities))

    return answer


def _scores(
    answer: Probabilities, texts: list[str], labels: NDArray[Any], expected: NDArray[Any]
) -> dict[str, float]:
    """Score the answers to labelled texts, and compare them with those of torch."""
    chances = answer(texts)
    best = chances.argmax(1)
    return {
        "test_accuracy": float((best == labels).mean()),
        "same_answers": float((best == expected.argmax(1)).mean()),
        "largest_difference": float(np.abs(chances - expected).max()),
    }


def _torch_bytes(classifier: PromptClassifier) -> int:
    return sum(p.numel() * p.element_size() for p in classifier.model.parameters())
