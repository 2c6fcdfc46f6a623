"""Load: the memory of loading and encoding many rows, lines a second of predict, the page of many runs."""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.cost.measure import in_own_process, peak_bytes
from benchmarks.record import command_of, write_result
from experiments.comparing.compare import compare_experiment
from experiments.comparing.experiment_file import Experiment
from experiments.pipeline import run
from experiments.predict import predict_file
from experiments.run.folder import RunFolder
from spt.architecture import PromptLayers
from spt.data.config import DataConfig
from spt.serving.classifier import PromptClassifier
from spt.workbench import Workbench

BACKBONE = "splade-tiny"
CLASSES = ("delivery", "payment", "product", "other")
WORDS = (
    "the parcel was late and it arrived broken my card is charged twice please send a refund for this order "
    "which colour does your screen have when will you answer who wrote that how many days does it take"
)
TRAIN_ROWS = 40


def measure_load(rows: int, lines: Sequence[int], runs: int, result: str) -> Path:
    """Measure and write benchmarks/results/<result>.json.

    Args:
        rows: of the CSV file that is loaded and encoded.
        lines: of the text files that are answered, to see that their number does not matter.
        runs: finished runs that are compared.
        result: name of the file.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = [in_own_process(load_and_encode, write_rows(folder / "rows.csv", rows))]
        for number in lines:
            texts = write_rows(folder / f"{number}.txt", number)
            records.append(in_own_process(answer_lines, folder / "model", texts))
        records.append(in_own_process(compare_finished, folder / "comparison", runs))
    given: list[object] = ["--rows", rows, "--runs", runs]
    for number in lines:
        given += ["--lines", number]
    return write_result(result, command_of("load", *given, result=result), records, backbone=BACKBONE)


def write_rows(path: Path, rows: int) -> Path:
    """Write texts of 5 to 40 words, with an id and a label in a CSV file, and alone in another."""
    words, generator = np.array(WORDS.split()), np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if path.suffix == ".csv":
            writer.writerow(["id", "text", "label"])
        for row in range(rows):
            text = f"{' '.join(generator.choice(words, generator.integers(5, 41)))} {row}"
            if path.suffix == ".csv":
                writer.writerow([row, text, CLASSES[row % len(CLASSES)]])
            else:
                file.write(f"{text}\n")
    return path


def load_and_encode(path: Path) -> dict[str, Any]:
    """Load a workbench from a file, as every run does first; return rows, seconds and peaks of memory."""
    # loads the backbone too, and what reads CSV
    small = write_rows(path.with_name("few.csv"), TRAIN_ROWS)
    Workbench.load(data=DataConfig(train=small), backbone=BACKBONE)
    before, begin = peak_bytes(), time.perf_counter()
    workbench = Workbench.load(data=DataConfig(train=path), backbone=BACKBONE)
    return {
        "name": "load_and_encode",
        "rows": sum(map(len, workbench.examples.values())),
        "tokens": sum(len(examples.input_ids) for examples in workbench.examples.values()),
        "seconds": time.perf_counter() - begin,
        "peak_megabytes": peak_bytes() / 2**20,
        "peak_megabytes_of_few_rows": before / 2**20,
    }


def answer_lines(model: Path, texts: Path) -> dict[str, Any]:
    """Answer the lines of a file by an untrained prompt; return lines, their rate and the peak of memory."""
    if not model.exists():
        small = write_rows(texts.with_name("few.csv"), TRAIN_ROWS)
        bench = Workbench.load(data=DataConfig(train=small), backbone=BACKBONE)
        layers = PromptLayers.of([bench.num_layers - 1], bench.num_layers)
        PromptClassifier(bench.factory.model(layers), bench.tokenizer, bench.spec, layers).save_pretrained(
            model
        )
    throughput = predict_file([model], texts, texts.with_suffix(".csv"), every_class=True)
    return {
        "name": "predict",
        "lines": throughput.records,
        "seconds": throughput.seconds,
        "lines_per_second": throughput.records / throughput.seconds,
        "peak_megabytes": peak_bytes() / 2**20,
    }


def compare_finished(folder: Path, runs: int) -> dict[str, Any]:
    """Compare copies of a finished run, each with scores of its own; return how long it takes."""
    folder.mkdir()
    experiment = write_finished_runs(folder, runs)
    begin = time.perf_counter()
    compare_experiment(Experiment.load(experiment), {}, folder / "runs", quiet=True)
    seconds = time.perf_counter() - begin
    page = (folder / "runs" / "report.html").stat().st_size
    return {"name": "comparison", "runs": runs, "seconds": seconds, "page_megabytes": page / 2**20}


def write_finished_runs(folder: Path, runs: int) -> Path:
    """Train one run, and write it as often as the grid of an experiment has runs; return the experiment."""
    experiment = _write_experiment(folder, seeds=max(1, runs // 10))
    cells = Experiment.load(experiment).cells()
    first = RunFolder(folder / "first")
    metrics = run(cells[0].config, first.path).as_json()
    stored = yaml.safe_load((first.path / "config.yml").read_text(encoding="utf-8"))
    gates = first.gates.read_bytes()
    generator = np.random.default_rng(0)
    for cell in cells:
        place = RunFolder(folder / "runs" / cell.config.name)
        place.search.mkdir(parents=True)
        content = {**stored, "run": cell.config.model_dump(mode="json")}
        (place.path / "config.yml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        place.gates.write_bytes(gates)
        place.inputs.write_bytes(first.inputs.read_bytes())
        scores = dict(
            zip(("dev_metric", "test_metric"), generator.uniform(0.8, 0.9, 2).tolist(), strict=True)
        )
        content = {**metrics, **scores, "seed": cell.config.seed}
        place.metrics.write_text(json.dumps(content), encoding="utf-8")
    return experiment


def _write_experiment(folder: Path, seeds: int) -> Path:
    """Write an experiment of ten groups, of each so many seeds, and the config that it starts from."""
    config = {
        "task": "custom",
        "data": {"train": str(write_rows(folder / "few.csv", TRAIN_ROWS))},
        "backbone": {"name": BACKBONE},
        "search": {"strategy": "spt_darts", "k": 1, "epochs": 2, "warmup_epochs": 0},
        "training": {"epochs": 1},
        "threads": 1,
        "cache": "off",
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    rates = [0.001 * (1 + group) for group in range(10)]
    experiment = {
        "experimentName": "load",
        "searchSpace": {
            "training.learning_rate": {"_type": "choice", "_value": rates},
            "seed": {"_type": "choice", "_value": list(range(seeds))},
        },
        "trialCommand": "python3 -m experiments.trial --config config.yml",
        "trialCodeDirectory": ".",
    }
    path = folder / "experiment.yml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False), encoding="utf-8")
    return path
