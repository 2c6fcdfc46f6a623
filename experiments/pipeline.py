"""Search, derive, retrain, evaluate: the one road every use takes, from a config to a run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import torch
import yaml
from filelock import FileLock, Timeout
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from safetensors.torch import load_file, save_file

from experiments.config import RunConfig
from search_spaces.budget import Budget
from search_spaces.prompt_layers import PromptLayerSpace
from spt.architecture import PromptLayers
from spt.atomic import write_text
from spt.backbones.base import Backbone
from spt.classifier import PromptClassifier
from spt.data import Example, encode, load_splits, make_loader
from spt.errors import InputError
from spt.evaluation import evaluate
from spt.factory import ModelFactory
from spt.history import History
from spt.model import PromptedModel, trained
from spt.prefix_cache import PrefixCache
from spt.report import write_model_card, write_report
from spt.spec import ModelSpec
from spt.training import Fit, Loader, checkpoint_path, fit
from spt.versions import machine, versions
from strategies.derivation import check_derivation
from strategies.evaluator import new_evaluator
from strategies.hyper_network import gate_values, gated_layers
from strategies.spt_darts import SptDarts

# keys that a run may go on with changed, because they do not change its numbers
NEUTRAL = {"name", "threads", "cache", "cache_gb"}
Stage = Literal["search", "train"]
OnEpoch = Callable[[str, int, float], None]


class Run:
    """One run folder and the stages that fill it; a stage that is done is read back, not repeated.

    Args:
        config: what to run.
        folder: made if it is not there; config.yml, search/, architecture.json, model/, metrics.json.
        on_epoch: told stage, epoch and dev score after each epoch.

    Raises:
        InputError: if the folder is in use, or holds a run of another config.
    """

    def __init__(self, config: RunConfig, folder: Path, on_epoch: OnEpoch | None = None) -> None:
        self.config = config
        self.folder = folder
        self.on_epoch = on_epoch
        self._examples: dict[str, list[Example]] = {}
        if config.threads:
            torch.set_num_threads(config.threads)

    @contextmanager
    def claimed(self) -> Iterator[Run]:
        """Hold the folder against other processes, and check that it is of this config.

        Nothing is written before config, data and backbone are known to fit together.
        """
        self._check()
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

    def _check(self) -> None:
        """Meet what is wrong with config, data and backbone."""
        _check_budget(self.config, self.backbone.num_layers)
        self.factory.model(PromptLayers.of([0], self.backbone.num_layers))
        for split in self.splits:
            self.examples(split)

    def _claim_config(self) -> None:
        path = self.folder / "config.yml"
        config = self.config.model_dump(mode="json")
        if not path.exists():
            header = {"versions": versions(), "machine": machine()}
            write_text(path, yaml.safe_dump({"run": config, **header}, sort_keys=False))
            return
        try:
            before = yaml.safe_load(path.read_text(encoding="utf-8"))["run"]
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
        return self.spec.load_tokenizer()

    @cached_property
    def backbone(self) -> Backbone:
        """Loaded once for search and retraining."""
        return self.spec.load_backbone()

    @cached_property
    def factory(self) -> ModelFactory:
        """Models over the one backbone."""
        return self.spec.factory(self.backbone, self.tokenizer, self.config.seed)

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

    def loader(self, split: str, model: PromptedModel, shuffled: bool = False) -> Loader:
        """Batches of a split: shuffled by the run's seed to train on, in large batches to evaluate on.

        They bring the hidden states at the model's first prompt layer, where the cache has room for them. The
        model goes to the accelerator, if there is one.
        """
        model.to(torch.accelerator.current_accelerator(check_available=True) or "cpu")
        training = self.config.training
        examples = self.cache.extend(self.examples(split), model, self.tokenizer, training.eval_batch_size)
        if shuffled:
            return make_loader(examples, self.tokenizer, training.batch_size, self.config.seed)
        return make_loader(examples, self.tokenizer, training.eval_batch_size)

    def listener(self, stage: Stage) -> Callable[[int, float], None]:
        """Keeps a stage's dev scores in its history.jsonl and tells them to on_epoch."""
        history = History(self.folder / stage / "history.jsonl")

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
        total = self.backbone.num_layers
        folder = self.folder / "search"
        folder.mkdir(exist_ok=True)
        if self.config.search.strategy == "manual":
            architecture = PromptLayers.of(self.config.search.manual_layers, total)
            _write_json(folder / "search.json", {"seconds": 0.0, "steps": 0})
        else:
            architecture = self._search_gates(folder, total)
        write_text(path, architecture.model_dump_json() + "\n")
        return architecture

    def _search_gates(self, folder: Path, total: int) -> PromptLayers:
        search = self.config.search
        space = PromptLayerSpace(self.factory, _budget(self.config, total))
        strategy = SptDarts(
            gate_learning_rate=search.gate_learning_rate,
            gate_weight_decay=search.gate_weight_decay,
            consistency=search.consistency,
            distance=search.distance,
            mask_probability=search.mask_probability,
            warmup_epochs=search.warmup_epochs,
            gate_every=search.gate_every,
            derivation=search.derivation,
            seed=self.config.seed,
            history=folder / "gates.jsonl",
        )
        evaluator = new_evaluator(
            self.loader("train", space, shuffled=True),
            self.loader("dev", space),
            self.spec.task,
            self.config.training.model_copy(update={"epochs": search.epochs}),
            self.config.seed,
            folder,
            self.listener("search"),
        )
        strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
        derived = strategy.derived
        if search.inherit:
            save_file(_inherited(space, derived.layers), folder / "inherited.safetensors")
        found = {
            "layers": derived.layers,
            "derivation": search.derivation,
            "scores": derived.scores,
            "gates": gate_values(space),
            "evaluations": derived.evaluations,
            "seconds": strategy.seconds,
            "steps": evaluator.trainer.global_step,
        }
        _write_json(folder / "search.json", found)
        return PromptLayers.of(derived.layers, total)

    def train(self) -> PromptClassifier:
        """Train the found architecture, or read back the trained one; writes model/ and train.json."""
        architecture = self.search()
        folder = self.folder / "train"
        folder.mkdir(exist_ok=True)
        if (folder / "train.json").exists():
            return PromptClassifier.from_pretrained(self.folder / "model")
        model = self.factory.model(architecture)
        inherited = self.folder / "search" / "inherited.safetensors"
        if inherited.exists():
            model.load_state_dict(load_file(inherited), strict=False)
        result = fit(
            model,
            self.loader("train", model, shuffled=True),
            self.loader("dev", model),
            self.spec.task,
            self.config.training,
            self.config.seed,
            folder,
            self.listener("train"),
        )
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
        dev = evaluate(classifier.model, self.loader("dev", classifier.model), self.spec.task)
        test = evaluate(classifier.model, self.loader("test", classifier.model), self.spec.task)
        metrics = self._metrics(classifier, dev, test)
        write_model_card(self.folder / "model", metrics)
        write_report(self.folder, metrics)
        _write_json(path, metrics)
        return metrics

    def _metrics(
        self, classifier: PromptClassifier, dev: dict[str, float], test: dict[str, float]
    ) -> dict[str, Any]:
        search = json.loads((self.folder / "search" / "search.json").read_text(encoding="utf-8"))
        training = Fit(**json.loads((self.folder / "train" / "train.json").read_text(encoding="utf-8")))
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
            "prompt_parameters": prompt,
            "head_parameters": head,
            "tunable_parameters": prompt + head,
            "search_seconds": search["seconds"],
            "train_seconds": training.seconds,
            "search_steps": search["steps"],
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


def _budget(config: RunConfig, total: int) -> Budget:
    search = config.search
    return Budget(total, search.layers, search.exactly, search.candidates)


def _check_budget(config: RunConfig, total: int) -> None:
    """Refuse layers the backbone does not have before anything is written."""
    if config.search.strategy == "manual":
        PromptLayers.of(config.search.manual_layers, total)
    else:
        check_derivation(config.search.derivation, _budget(config, total))


def _inherited(space: PromptedModel, layers: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Generators and head of a hyper-network under the names they have in the discrete model."""
    weights = {
        f"choices.{layer}.{name}": tensor
        for layer, gated in gated_layers(space).items()
        if layer in layers
        for name, tensor in gated.insert.state_dict().items()
    }
    return {**weights, **{f"head.{name}": tensor for name, tensor in space.head.state_dict().items()}}


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
