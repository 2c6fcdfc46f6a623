"""Search, derive, retrain, evaluate: the one road every use takes, from a config to a run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import torch
import yaml
from filelock import FileLock, Timeout
from pydantic import ValidationError
from safetensors.torch import load_file

from experiments.config import NEUTRAL, RunConfig
from experiments.run import searching
from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.build import ModelFactory, load_backbone, load_tokenizer, new_factory
from spt.data.batches import make_loader
from spt.data.encoding import Example, encode
from spt.data.loading import load_splits
from spt.errors import InputError
from spt.evaluation import evaluate
from spt.files import write_text
from spt.model import PromptedModel, trained
from spt.modes import Precision
from spt.prefix_cache import PrefixCache
from spt.provenance import machine, versions
from spt.reports.run_page import write_model_card, write_report
from spt.serving.classifier import PromptClassifier
from spt.serving.neighbours import read_input
from spt.spec import ModelSpec
from spt.training.callbacks import checkpoint_path
from spt.training.fit import Loader, fit
from spt.training.history import History
from spt.training.result import TrainingResult
from strategies.candidates import name_of
from strategies.ledger import Ledger

Stage = Literal["search", "train"]
OnEpoch = Callable[[str, int, float], None]


@dataclass
class PrefixFlops:
    """Operations of hidden states below the first prompt."""

    flops: int = 0


class Run:
    """One run folder and the stages that fill it; a stage that is done is read back, not repeated.

    Args:
        config: what to run.
        folder: made if it is not there; config.yml, search/, architecture.json, model/, ledger.json,
            metrics.json.
        on_epoch: told stage, epoch and dev score after each epoch.

    Raises:
        InputError: if the folder is in use, or holds a run of another config.
    """

    def __init__(self, config: RunConfig, folder: Path, on_epoch: OnEpoch | None = None) -> None:
        self.config = config
        self.folder = folder
        self.on_epoch = on_epoch
        self._examples: dict[str, list[Example]] = {}
        self._prefix = PrefixFlops()
        if config.threads:
            torch.set_num_threads(config.threads)

    @contextmanager
    def claimed(self) -> Iterator[Run]:
        """Hold the folder against other processes, and check that it is of this config.

        Nothing is written before config, data and backbone are known to fit together.
        """
        self.check()
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            held = lock.acquire()
        except Timeout as error:
            raise InputError(
                f"The run folder '{self.folder}' is in use by another process. "
                "Wait for it, or choose another."
            ) from error
        except OSError as error:
            raise InputError(
                f"The run folder '{self.folder}' cannot be made ({error}). Choose another."
            ) from error
        with held:
            self._claim_config()
            yield self

    def check(self) -> None:
        """Meet what is wrong with config, data and backbone."""
        self.factory.model(PromptLayers.of([0], self.backbone.num_layers))
        for split in self.splits:
            self.cache.check_room(self.examples(split), self.backbone)
        searching.check(self)

    def _claim_config(self) -> None:
        path = self.folder / "config.yml"
        config = self.config.model_dump(mode="json")
        if not path.exists():
            header = {"versions": versions(), "machine": machine()}
            write_text(path, yaml.safe_dump({"run": config, **header}, sort_keys=False))
            return
        try:
            before = yaml.safe_load(path.read_text(encoding="utf-8"))["run"]
            before = _completed(before)
        except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
            raise InputError(
                f"The run folder '{self.folder}' holds a config.yml that no run wrote. Choose another folder."
            ) from error
        changed = sorted(set(_differences(before, config)) - NEUTRAL)
        if changed:
            raise InputError(
                f"The run folder '{self.folder}' holds a run of another config (different: "
                f"{', '.join(changed)}). Choose another folder, or delete this one."
            )

    # What the stages share, loaded when first asked for

    @cached_property
    def splits(self) -> Any:
        """Train, dev and test rows."""
        return load_splits(self.config.task, self.config.data, self.config.seed)

    @cached_property
    def spec(self) -> ModelSpec:
        """The model's description, with the labels of the data in it."""
        labels = tuple(self.splits["train"].features["label"].names)
        config = self.config
        return ModelSpec(
            backbone=config.backbone,
            head=config.head,
            prompt=config.prompt,
            task=config.task.model_copy(update={"labels": labels}),
            max_length=config.data.max_length,
        )

    @cached_property
    def tokenizer(self) -> Any:
        """Of the backbone."""
        return load_tokenizer(self.spec)

    @cached_property
    def backbone(self) -> Backbone:
        """Loaded once for search and retraining."""
        return load_backbone(self.spec)

    @cached_property
    def factory(self) -> ModelFactory:
        """Models over the one backbone."""
        return new_factory(self.spec, self.backbone, self.tokenizer, self.config.seed)

    @cached_property
    def cache(self) -> PrefixCache:
        """Of the hidden states below the first prompt."""
        return PrefixCache(self.config.cache, limit=int(self.config.cache_gb * 2**30))

    def examples(self, split: str) -> list[Example]:
        """The encoded rows of a split."""
        if split not in self._examples:
            self._examples[split] = encode(
                self.splits[split], self.tokenizer, self.spec.task, self.spec.max_length, self.spec.verbalizes
            )
        return self._examples[split]

    def loader(
        self, split: str, model: PromptedModel, shuffled: bool = False, precision: Precision | None = None
    ) -> Loader:
        """Batches of a split: shuffled by the run's seed to train on, in large batches to evaluate on.

        They bring the hidden states at the model's first prompt layer, where the cache has room for them, in
        the given precision or the training's. The model goes to the accelerator, if there is one.
        """
        model.to(torch.accelerator.current_accelerator(check_available=True) or "cpu")
        training = self.config.training
        examples, flops = self.cache.extend(
            self.examples(split),
            model,
            self.tokenizer,
            training.eval_batch_size,
            precision or training.precision,
        )
        self._prefix.flops += flops
        if shuffled:
            return make_loader(examples, self.tokenizer, training.batch_size, self.config.seed)
        return make_loader(examples, self.tokenizer, training.eval_batch_size)

    @contextmanager
    def counted_prefix(self) -> Iterator[PrefixFlops]:
        """Count what `loader` charges for hidden states below the first prompt."""
        self._prefix = PrefixFlops()
        yield self._prefix

    @cached_property
    def ledger(self) -> Ledger:
        """What the run has spent."""
        return Ledger(self.folder / "ledger.json", self.config.search.budget_flops)

    def listener(self, folder: Path, stage: Stage) -> Callable[[int, float], None]:
        """Keeps a training's dev scores in folder/history.jsonl and tells them to on_epoch."""
        history = History(folder / "history.jsonl")

        def told(epoch: int, dev: float) -> None:
            history.begin_epoch(epoch)
            history.record(epoch, dev=dev)
            if self.on_epoch is not None:
                self.on_epoch(stage, epoch, dev)

        return told

    # The stages

    def search(self) -> PromptLayers:
        """Find the layers, or read back those found; writes search/ and architecture.json."""
        path = self.folder / "architecture.json"
        if path.exists():
            return PromptLayers.load(path)
        folder = self.folder / "search"
        folder.mkdir(exist_ok=True)
        found = searching.search(self, folder)
        architecture = PromptLayers.of(found["layers"], self.backbone.num_layers)
        _write_json(folder / "search.json", found)
        write_text(path, architecture.model_dump_json() + "\n")
        return architecture

    def fit(
        self, architecture: PromptLayers, folder: Path, on_epoch: Callable[[int, float], None]
    ) -> tuple[PromptedModel, TrainingResult]:
        """Train an architecture in a folder, or go on there; the same for candidates and what is kept."""
        model = self.factory.model(architecture)
        inherited = self.folder / "search" / "inherited.safetensors"
        if inherited.exists():
            model.load_state_dict(load_file(inherited), strict=False)
        folder.mkdir(parents=True, exist_ok=True)
        with self.counted_prefix() as prefix:
            train, dev = self.loader("train", model, shuffled=True), self.loader("dev", model)
        config = self.config
        result = fit(model, train, dev, self.spec.task, config.training, config.seed, folder, on_epoch)
        return model, replace(result, flops=result.flops + prefix.flops)

    def score(self, architecture: PromptLayers) -> TrainingResult:
        """Train a candidate of the search in a folder of its own, or go on there."""
        place = searching.candidate_folder(self.folder / "search", architecture.layers)
        return self.fit(architecture, place, self.listener(place, "search"))[1]

    def train(self) -> PromptClassifier:
        """Train the found architecture, or read back the trained one; writes model/ and train.json."""
        architecture = self.search()
        folder = self.folder / "train"
        if (folder / "train.json").exists():
            return PromptClassifier.from_pretrained(self.folder / "model")
        candidate = searching.candidate_folder(self.folder / "search", architecture.layers)
        if candidate.exists():
            # it is trained already, and what remains is to read it
            candidate.rename(folder)
        model, result = self.fit(architecture, folder, self.listener(folder, "train"))
        if f"candidate {name_of(architecture.layers)}" not in self.ledger:
            self.ledger.charge("retraining", result.flops, result.steps)
        classifier = PromptClassifier(model, self.tokenizer, self.spec, architecture)
        classifier.save_pretrained(self.folder / "model")
        _write_json(folder / "train.json", result.__dict__)
        checkpoint_path(folder).unlink(missing_ok=True)
        return classifier

    def evaluate(self) -> dict[str, Any]:
        """Score dev and, once, test; writes metrics.json."""
        path = self.folder / "metrics.json"
        if path.exists():
            return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))
        classifier = self.train()
        model, task = classifier.model, self.spec.task
        dev = evaluate(model, self.loader("dev", model, precision="32"), task)
        test = evaluate(model, self.loader("test", model, precision="32"), task)
        metrics = self._metrics(classifier, dev, test)
        write_model_card(self.folder / "model", metrics)
        write_report(self.folder, metrics, read_input(classifier))
        _write_json(path, metrics)
        return metrics

    def _metrics(
        self, classifier: PromptClassifier, dev: dict[str, float], test: dict[str, float]
    ) -> dict[str, Any]:
        search = json.loads((self.folder / "search" / "search.json").read_text(encoding="utf-8"))
        training = TrainingResult(
            **json.loads((self.folder / "train" / "train.json").read_text(encoding="utf-8"))
        )
        prompt, head = _parameter_counts(classifier.model)
        config = self.config
        return {
            "task": config.task.name,
            "backbone": config.backbone.name,
            "strategy": config.search.strategy,
            "layers": list(classifier.architecture.layers),
            "layers_total": classifier.architecture.total,
            "seed": config.seed,
            "dev_accuracy": dev["accuracy"],
            "test_accuracy": test["accuracy"],
            "f1": test["f1"],
            "dev_metric": dev["metric"],
            "test_metric": test["metric"],
            "gates": search.get("gates"),
            "scores": search.get("scores"),
            "evaluations": search["evaluations"],
            "prompt_parameters": prompt,
            "head_parameters": head,
            "tunable_parameters": prompt + head,
            "search_seconds": search["seconds"],
            "train_seconds": training.seconds,
            "search_steps": search["steps"],
            "search_flops": search["flops"],
            "train_flops": training.flops,
            "total_flops": self.ledger.flops,
            "steps": training.steps,
            "epochs": training.epochs,
            "train_size": len(self.splits["train"]),
            "dev_size": len(self.splits["dev"]),
            "test_size": len(self.splits["test"]),
            "versions": versions(),
            "machine": machine(),
        }


def run(config: RunConfig, folder: Path, on_epoch: OnEpoch | None = None) -> dict[str, Any]:
    """Search, derive, retrain and evaluate; continue where a run in `folder` was killed.

    Returns:
        What metrics.json holds.

    Raises:
        InputError: for bad input, before anything is written.
        TrialFailed: if the loss is not finite.
    """
    with Run(config, folder, on_epoch).claimed() as claimed:
        return claimed.evaluate()


def search(config: RunConfig, folder: Path) -> dict[str, Any]:
    """Search only; continue where a search in `folder` was killed.

    Returns:
        What search/search.json holds.

    Raises:
        InputError: for bad input, before anything is written.
        TrialFailed: if the loss is not finite, or every candidate fails.
    """
    with Run(config, folder).claimed() as claimed:
        claimed.search()
    return cast(dict[str, Any], json.loads((folder / "search" / "search.json").read_text(encoding="utf-8")))


def _completed(before: dict[str, Any]) -> dict[str, Any]:
    """A stored config with the defaults of the options that are newer than it."""
    try:
        return RunConfig.model_validate(before).model_dump(mode="json")
    except ValidationError:
        return before


def _parameter_counts(model: PromptedModel) -> tuple[int, int]:
    """Trained parameters of the prompts and of the head."""
    counts = {name: p.numel() for name, p in trained(model)}
    head = sum(count for name, count in counts.items() if name.startswith("head."))
    return sum(counts.values()) - head, head


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ."""
    found = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}")
    return found


def _write_json(path: Path, data: dict[str, Any]) -> None:
    write_text(path, json.dumps(data, indent=2) + "\n")
