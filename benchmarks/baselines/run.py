"""A baseline through the project's own data, loop and scores, in one resumable folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.baselines.methods import baseline_model, size_of
from experiments.config import RunConfig
from experiments.run.folder import RunFolder
from experiments.run.inputs import RunInputs, check_files, check_inputs
from experiments.run.results import ADVICE, with_current_names
from experiments.run.training import load_workbench
from spt.answers.decisions import dev_thresholds
from spt.errors import InputError
from spt.evaluation import evaluate, finite_probabilities
from spt.model import trained
from spt.process.devices import use_threads
from spt.process.provenance import Provenance
from spt.prompts.config import PromptConfig
from spt.storage.files import write_text
from spt.storage.json_files import read_json
from spt.storage.tensor_files import write_tensors
from spt.training.fit import fit
from spt.training.unfinished import delete_unfinished

WEIGHTS = "tuned.safetensors"


def run_baseline(config: RunConfig, method: str, folder: Path, size: int | None = None) -> dict[str, Any]:
    """Train and score a baseline on a run's task, data, backbone and head; continue where it was killed.

    Args:
        config: of the run; what it says of prompts, search and cache does not matter.
        method: a name of BASELINES.
        folder: of this run alone; gets config.yml, train/, tuned.safetensors and metrics.json.
        size: as for `baseline_model`.

    Returns:
        What metrics.json holds.

    Raises:
        InputError: for bad input, or a folder of another baseline, other data or another backbone.
        TrialFailed: if the loss is not finite, or the backbone does not suit the baseline.
    """
    if config.data.folds is not None:
        raise InputError(
            f"data.folds is {config.data.folds}, but baselines of other libraries are judged by dev. "
            "Remove it."
        )
    place = RunFolder(folder)
    place.check(config)
    check_files(config, place)
    use_threads(config.threads)
    # a baseline has no prompt of ours and no states below one, so that nothing about them can be wrong
    workbench = load_workbench(config.model_copy(update={"prompt": PromptConfig(), "cache": "off"}))
    # before the backbone gets modules of the baseline
    inputs = RunInputs.of(config, workbench)
    model = baseline_model(method, workbench.factory, size)
    with place.claimed(config):
        check_inputs(place, inputs)
        _claim(folder, method, size)
        path = place.metrics
        if path.exists():
            return with_current_names(read_json(path, ADVICE))
        loaders = {split: workbench.batches(split, model).loader for split in ("dev", "test")}
        train = workbench.batches("train", model, shuffled=True).loader
        place.train.mkdir(exist_ok=True)
        task, seed = workbench.spec.task, config.seed
        result = fit(model, train, loaders["dev"], task, config.training, seed, place.train)
        weights = {name: p.detach().cpu().contiguous() for name, p in trained(model)}
        write_tensors(folder / WEIGHTS, weights)
        chances, labels = finite_probabilities(model, loaders["dev"], task)
        thresholds = dev_thresholds(task, labels, chances)
        dev, test = (evaluate(model, loaders[split], task, thresholds) for split in ("dev", "test"))
        metrics = {
            "method": method,
            "size": size_of(method, size),
            "task": config.task.name,
            "backbone": config.backbone.name,
            "seed": seed,
            "learning_rate": config.training.learning_rate,
            "metric": config.task.metric,
            "dev_metric": dev["metric"],
            "test_metric": test["metric"],
            "dev_accuracy": dev["accuracy"],
            "test_accuracy": test["accuracy"],
            "tunable_parameters": sum(weight.numel() for weight in weights.values()),
            "bytes": (folder / WEIGHTS).stat().st_size,
            "total_flops": result.flops,
            "total_seconds": result.seconds,
            "train_steps": result.steps,
            "train_epochs": result.epochs,
            **Provenance.now().as_json(),
        }
        write_text(path, json.dumps(metrics, indent=2) + "\n")
        delete_unfinished(place.train)
        return metrics


def _claim(folder: Path, method: str, size: int | None) -> None:
    path = folder / "baseline.json"
    wanted = {"method": method, "size": size_of(method, size)}
    if not path.exists():
        write_text(path, json.dumps(wanted) + "\n")
    elif (stored := read_json(path, ADVICE)) != wanted:
        raise InputError(f"The folder '{folder}' holds the baseline {stored}, not {wanted}. Choose another.")
