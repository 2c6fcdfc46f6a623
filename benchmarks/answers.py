"""Calibration, windows on long texts and folds on few rows, measured: `python -m benchmarks answers`."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import command_of, mean_and_spread, write_result
from experiments.config import RunConfig, checked
from experiments.pipeline import run
from experiments.run.results import RunMetrics
from spt.data.config import DataConfig
from spt.data.loading import load_splits
from spt.tasks import get_task

Say = Callable[[str], None]

# small enough for three seeds of everything in minutes
BACKBONE = "splade-tiny"
LAYERS = [1]
# condition -> its data
CALIBRATED: dict[str, dict[str, Any]] = {
    "trec, 500 rows": {"train_size": 500, "dev_size": 200},
    "trec, 16 rows a class": {"shots_per_class": 16},
}
# tokens of the longest input, and how longer documents are read
READ = {"cut": (32, None), "windows": (32, 8), "whole": (256, None)}
DOCUMENTS = {"train": 160, "dev": 60, "test": 200}
# rows of train and dev together, and of dev where there are no folds
FEW, FEW_DEV, FOLDS = 120, 40, 5
EPOCHS = 6


def measure_answers(
    folder: Path = Path("runs/answers"),
    seeds: Sequence[int] = range(3),
    result: str = "answers",
    say: Say = print,
) -> Path:
    """Measure all three, and write benchmarks/results/<result>.json.

    Args:
        folder: of the runs and the documents; what it holds is not repeated.
        seeds: of every run.
        result: name of the JSON.
        say: told a line a run.
    """
    records: list[dict[str, Any]] = []
    for seed in seeds:
        for part in (_calibrated, _windowed, _folded):
            for record in part(folder, seed):
                say(str(record))
                records.append(record)
    command = command_of("answers", "--seeds", len(seeds), result=result)
    return write_result(result, command, records, summary=_summary(records))


def _calibrated(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Run each condition once: its metrics have the errors before and after."""
    records = []
    for number, (condition, data) in enumerate(CALIBRATED.items()):
        config = _config(seed, data)
        metrics = run(config, folder / f"calibration_{number}_{seed}")
        assert metrics.answers is not None
        test = metrics.answers.test
        scores = {
            f"{name}_{when}": getattr(of_split, name)
            for when, of_split in (("before", test.uncalibrated), ("after", test.calibrated))
            for name in ("ece", "brier", "nll")
        }
        selective = {f"accuracy_of_surest_{share}": value for share, value in test.selective_accuracy.items()}
        shown = {"temperature": metrics.answers.temperature, **scores, **selective}
        records.append(_record("calibration", condition, seed, metrics, **shown))
    return records


def _windowed(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Read documents whose class stands in all of their parts, or in one, cut, in windows and whole."""
    records = []
    for kind in ("class everywhere", "class in one place"):
        files = _documents(folder / "documents" / f"{kind.replace(' ', '_')}_{seed}", kind, seed)
        for read, (max_length, windows) in READ.items():
            data = {**files, "max_length": max_length, "windows": windows}
            config = _config(seed, data, task="custom")
            metrics = run(config, folder / f"windows_{kind.replace(' ', '_')}_{read}_{seed}")
            assert metrics.cut_texts is not None
            cut = metrics.cut_texts["test"]
            records.append(_record("windows", f"{kind}: {read}", seed, metrics, cut_texts=cut))
    return records


def _folded(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Train on few rows by a dev split, and by folds of the same rows."""
    records = []
    for judge, folds in (("dev split", None), ("folds", FOLDS)):
        # the same rows: those of dev are the same for every seed, those of train a sample
        data = {"train_size": FEW - FEW_DEV, "dev_size": FEW_DEV, "folds": folds}
        config = _config(seed, data)
        metrics = run(config, folder / f"folds_{judge.replace(' ', '_')}_{seed}")
        error = abs(metrics.dev_metric - metrics.test_metric)
        records.append(_record("folds", judge, seed, metrics, dev_test_distance=error))
    return records


def _config(seed: int, data: dict[str, Any], task: str = "trec") -> RunConfig:
    tree = {
        "seed": seed,
        "threads": 1,
        "cache": "off",
        "task": task,
        "data": data,
        "backbone": {"name": BACKBONE},
        "search": {"strategy": "manual", "manual_layers": LAYERS},
        "training": {"epochs": EPOCHS, "patience": EPOCHS, "learning_rate": 0.02, "batch_size": 16},
    }
    return checked(tree, "the benchmark")


def _documents(folder: Path, kind: str, seed: int) -> dict[str, str]:
    """Write documents of eight TREC questions of a class, or of one question among eight messages."""
    folder.mkdir(parents=True, exist_ok=True)
    trec = load_splits(get_task("trec"), DataConfig(), 0)
    messages = load_splits(get_task("custom"), DataConfig(source="sms-spam"), 0)["train"]["text"][:]
    names = trec["train"].features["label"].names
    files = {}
    for number, (split, count) in enumerate(DOCUMENTS.items()):
        random = np.random.default_rng([seed, number])
        rows = list(zip(trec[split]["text"][:], trec[split]["label"][:], strict=True))
        files[split] = str(folder / f"{split}.csv")
        with Path(files[split]).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for _ in range(count):
                # by class, because a few documents of all rows may have none of a rare one
                label = random.integers(len(names))
                alike = [text for text, other in rows if other == label]
                first, *others = random.choice(alike, 8)
                if kind == "class everywhere":
                    parts = [first, *others]
                else:
                    parts = list(random.choice(messages, 8, replace=False))
                    parts.insert(random.integers(9), first)
                writer.writerow([" ".join(parts), names[label]])
    return files


def _record(part: str, condition: str, seed: int, metrics: RunMetrics, **more: Any) -> dict[str, Any]:
    scores = {"dev_metric": metrics.dev_metric, "test_metric": metrics.test_metric}
    cost = {"total_seconds": metrics.total_seconds, "total_flops": metrics.total_flops}
    return {"part": part, "condition": condition, "seed": seed, **scores, **more, **cost}


def _summary(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return mean and deviation over seeds of every number of each condition."""
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for name in dict.fromkeys((record["part"], record["condition"]) for record in records):
        alike = [record for record in records if (record["part"], record["condition"]) == name]
        numbers = [key for key, value in alike[0].items() if isinstance(value, float)]
        summary[f"{name[0]}: {name[1]}"] = {
            key: mean_and_spread([record[key] for record in alike]) for key in numbers
        }
    return summary
