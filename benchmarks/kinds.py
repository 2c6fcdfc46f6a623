"""Class weights on unequal classes, and several labels a text, over seeds: `python -m benchmarks kinds`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import CHECKOUT
from benchmarks.record import command_of, mean_and_spread, write_result
from experiments.comparing.grid import OnDone, RunOutcome, run_grid
from experiments.config import RunConfig, load_config
from spt.assets import fetch
from spt.data.reading.sources import TREC_FIRST_ROW
from spt.errors import TrialFailed
from spt.serving.classifier import PromptClassifier
from spt.storage.files import write_text
from spt.storage.json_files import read_json_lines

CONFIG = CHECKOUT / "experiments" / "configs" / "kinds.yml"
# of the draws that make the data, which is the same for every seed of a run
SEED = 0
TEST_ROWS = 1000
# classes of which one row in twenty is left, but in test
THINNED = ("LOC", "NUM")
KEEP_ONE_IN = 20
# fine classes of fewer rows are no labels of their own
LEAST_ROWS = 50
SCORES = {
    "unequal": ("test_accuracy", "test_macro_f1", "test_weighted_f1"),
    "several": (
        "test_macro_f1",
        "test_micro_f1",
        "test_accuracy",
        "test_mean_average_precision",
        "test_label_ranking",
    ),
}
WEIGHTS: Mapping[str, str | None] = {"plain": None, "balanced": "balanced"}
Row = dict[str, Any]


def measure_kinds(
    folder: Path,
    seeds: Sequence[int] = (0, 1, 2),
    config: Path = CONFIG,
    workers: int = 1,
    on_done: OnDone | None = None,
    result: str = "kinds",
) -> Path:
    """Run both tasks with and without balanced class weights, and write benchmarks/results/<result>.json.

    Args:
        folder: of the data and the runs; what it holds is not repeated.
        seeds: of each.
        config: of a run, whose data and class weights are set here.
        workers: processes at a time.
        on_done: told each run's name and outcome as it ends.
        result: name of the JSON.

    Raises:
        TrialFailed: if a run fails.
    """
    write_data(folder)
    configs = {
        f"{task}/{weights}-seed{seed}": _config(config, folder, task, weights, seed)
        for task in SCORES
        for weights in WEIGHTS
        for seed in seeds
    }
    outcomes = run_grid(configs, folder, workers, on_done)
    records = [_record(name, outcome, folder) for name, outcome in outcomes.items()]
    command = command_of("kinds", "--seeds", len(seeds), result=result)
    return write_result(result, command, records, rows=_class_counts(folder), summary=summary(records))


def write_data(folder: Path) -> None:
    """Write the rows of both tasks, made from TREC: train.jsonl and test.jsonl of each."""
    lines = (fetch("trec") / "question_labels.txt").read_text(encoding="utf-8").splitlines()
    tags, texts = zip(*(line.split(" ", 1) for line in lines[TREC_FIRST_ROW:]), strict=True)
    # a question that is there twice would be in train and in test
    tag_of = dict(zip(texts, tags, strict=True))
    order = np.random.default_rng(SEED).permutation(len(tag_of))
    rows = [list(tag_of.items())[row] for row in order]
    for task, splits in {"unequal": _unequal(rows), "several": _several(rows)}.items():
        (folder / task).mkdir(parents=True, exist_ok=True)
        for split, split_rows in splits.items():
            content = "".join(json.dumps(row) + "\n" for row in split_rows)
            write_text(_file(folder, task, split), content)


def _unequal(rows: Sequence[tuple[str, str]]) -> dict[str, list[Row]]:
    """Return questions by their coarse class, of which train has few of two."""
    labelled = [{"text": text, "label": tag.partition(":")[0]} for text, tag in rows]
    seen: Counter[str] = Counter()
    train = []
    for row in labelled[TEST_ROWS:]:
        seen[row["label"]] += 1
        if row["label"] not in THINNED or seen[row["label"]] % KEEP_ONE_IN == 1:
            train.append(row)
    return {"train": train, "test": labelled[:TEST_ROWS]}


def _several(rows: Sequence[tuple[str, str]]) -> dict[str, list[Row]]:
    """Return questions with their coarse class and, where it has rows enough, the fine one as labels."""
    fine = Counter(tag.partition(":")[2] for _, tag in rows)
    labelled = []
    for text, tag in rows:
        coarse, _, name = tag.partition(":")
        also = [f"fine:{name}"] if fine[name] >= LEAST_ROWS else []
        labelled.append({"text": text, "label": [coarse, *also]})
    return {"train": labelled[TEST_ROWS:], "test": labelled[:TEST_ROWS]}


def _file(folder: Path, task: str, split: str) -> Path:
    return folder / task / f"{split}.jsonl"


def _config(path: Path, folder: Path, task: str, weights: str, seed: int) -> RunConfig:
    keys = {
        "name": f"{task}-{weights}-seed{seed}",
        "seed": seed,
        "task.multi_label": task == "several",
        "training.class_weights": WEIGHTS[weights],
        **{f"data.{split}": str(_file(folder, task, split).resolve()) for split in ("train", "test")},
    }
    return load_config(path, keys)


def _record(name: str, outcome: RunOutcome, folder: Path) -> dict[str, Any]:
    if outcome.metrics is None:
        raise TrialFailed(f"The run {name} failed: {outcome.failure}")
    task, _, run = name.partition("/")
    weights, _, seed = run.partition("-seed")
    scores = {key: outcome.metrics[key] for key in SCORES[task]}
    answers = outcome.metrics["answers"]["test"]
    for when, probabilities in {"before": "uncalibrated", "after": "calibrated"}.items():
        scores[f"test_ece_{when}"] = answers[probabilities]["ece"]
    if task == "several":
        scores["test_macro_f1_at_one_half"] = _at_one_half(folder, name)
    return {"task": task, "weights": weights, "seed": int(seed), **scores}


def _at_one_half(folder: Path, name: str) -> float:
    """Score test with a threshold of one half for each class, in the place of those that dev chose."""
    classifier = PromptClassifier.from_pretrained(folder / name / "model")
    rows = read_json_lines(_file(folder, "several", "test"), "Delete it to write it again.")
    scores = classifier.evaluate([row["text"] for row in rows], [row["label"] for row in rows], threshold=0.5)
    return float(scores["test_macro_f1"])


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Return mean and deviation over seeds of each score, by task and weights."""
    means: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for task in SCORES:
        for weights in WEIGHTS:
            group = [record for record in records if (record["task"], record["weights"]) == (task, weights)]
            keys = [key for key in group[0] if key.startswith("test_")] if group else []
            means.setdefault(task, {})[weights] = {
                key: mean_and_spread([record[key] for record in group]) for key in keys
            }
    return means


def _class_counts(folder: Path) -> dict[str, dict[str, int]]:
    """Return the rows of each class in the training file of each task, the frequent ones first."""
    counts = {}
    for task in SCORES:
        labels = [row["label"] for row in read_json_lines(_file(folder, task, "train"), "Delete it.")]
        names = (name for label in labels for name in ([label] if isinstance(label, str) else label))
        counts[task] = dict(Counter(names).most_common())
    return counts
