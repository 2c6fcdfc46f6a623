"""A method of this project's loop within a budget of operations: a search, and as many epochs as fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from filelock import FileLock

from benchmarks.baselines.methods import baseline_model
from benchmarks.equal_operations.epochs import epochs_within
from benchmarks.equal_operations.figures import Figures, OverBudget, ProcessorClock
from benchmarks.methods.bench import Method
from experiments.config import RunConfig
from experiments.run.folder import INHERITED, numbers_of
from experiments.run.folds import train_candidate
from experiments.run.searching import search
from experiments.run.training import load_workbench
from spt.architecture import PromptLayers
from spt.evaluation import evaluate
from spt.model import PromptedModel, trained
from spt.process.devices import use_threads
from spt.prompts.config import PromptConfig
from spt.storage.digests import json_digest
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json
from spt.storage.tensor_files import read_tensors
from spt.training.fit import fit
from spt.workbench import Workbench
from strategies.ledger import Ledger

ADVICE = "Delete it to search again."


@dataclass(frozen=True)
class Found:
    """Hold the layers that a search found, what each gets where it chose that too, and what it took."""

    layers: tuple[int, ...]
    kinds: tuple[str, ...]
    flops: int
    seconds: float


def train_within(config: RunConfig, method: Method, budget: float, folder: Path, searches: Path) -> Figures:
    """Train a method for as many epochs as its budget holds, at most the configuration's, and score it.

    Args:
        config: of the run.
        method: says whether it is a baseline.
        budget: operations that search and training may take together.
        folder: of this training.
        searches: folder of what was found for other budgets.

    Raises:
        OverBudget: if search and one epoch do not fit, with the reason.
        TrialFailed: if the loss is not finite, or the backbone does not suit the baseline.
    """
    use_threads(config.threads)
    bench, clock = _workbench(config, method, folder), ProcessorClock()
    if method.baseline is not None:
        found = None
        model = baseline_model(method.baseline, bench.factory, method.size)
    else:
        place = searches / json_digest(numbers_of(config))[:12]
        found = _found(bench, config, place)
        if found.flops > budget:
            raise OverBudget(f"The search alone took {found.flops / 1e12:.3g} * 10^12 operations.")
        model = _prompted(bench, found, place)
    task, training, seed = bench.spec.task, bench.training, bench.seed
    with clock.running():
        train, dev = bench.batches("train", model, shuffled=True), bench.batches("dev", model)
    before = train.flops + dev.flops + (found.flops if found else 0)
    epochs = epochs_within(budget - before, model, train.loader, dev.loader, task, training, seed)
    with clock.running():
        lasting = training.model_copy(update={"epochs": epochs})
        result = fit(model, train.loader, dev.loader, task, lasting, seed, folder)
    dev_scores, test_scores = (
        evaluate(model, bench.batches(split, model).loader, task) for split in ("dev", "test")
    )
    return Figures(
        dev_scores["accuracy"],
        test_scores["accuracy"],
        tunable_parameters=sum(weights.numel() for _, weights in trained(model)),
        train_flops=before + result.flops,
        seconds=clock.seconds + (found.seconds if found else 0.0),
        shortened=epochs < training.epochs,
        epochs=result.epochs,
        steps=result.steps,
        layers=found.layers if found else None,
        kinds=(found.kinds or None) if found else None,
    )


def _workbench(config: RunConfig, method: Method, folder: Path) -> Workbench:
    """Load what the run is trained on, with a cache of its own: what others computed would cost nothing."""
    if method.baseline is not None:
        # a baseline has no prompt of ours and no states below one, so that nothing about them can be wrong
        config = config.model_copy(update={"prompt": PromptConfig(), "cache": "off"})
    bench = load_workbench(config)
    return replace(bench, cache=replace(bench.cache, folder=folder / "states"))


def _found(bench: Workbench, config: RunConfig, folder: Path) -> Found:
    """Search layers in a folder, or read back what the search for another budget found there."""
    path = folder / "found.json"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not path.exists():
            run = folder / "run"
            # one that was killed is repeated, for its seconds
            shutil.rmtree(run, ignore_errors=True)
            run.mkdir()
            clock = ProcessorClock()
            train = partial(train_candidate, bench, run, None)
            with clock.running():
                result = search(bench, config, run, Ledger(), train)
            found = Found(result.layers, result.kinds, result.search_flops, clock.seconds)
            write_text(path, json.dumps(asdict(found)) + "\n")
    return checked(Found, read_json(path, ADVICE), f"'{path}'", ADVICE)


def _prompted(bench: Workbench, found: Found, folder: Path) -> PromptedModel:
    """Make the model of the layers that were found, with the weights that the search left, if any."""
    model = bench.factory.model(PromptLayers.of(found.layers, bench.num_layers, found.kinds))
    inherited = folder / "run" / INHERITED
    if inherited.exists():
        model.load_state_dict(read_tensors(inherited, ADVICE).tensors, strict=False)
    return model
