"""Search, retrain, evaluate: the one road every use takes, from a config to a run folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from experiments.config import RunConfig
from experiments.run import searching
from experiments.run.answers import RowProbabilities
from experiments.run.collapse import search_signs, training_signs, warn
from experiments.run.folder import RunFolder
from experiments.run.folds import JudgedLayers, judge, train_candidate
from experiments.run.inputs import RunInputs, check_files, check_finished, check_inputs
from experiments.run.measures import joined, run_metrics
from experiments.run.report import keep_readings, write_run_report
from experiments.run.results import RunMetrics, SearchResult
from experiments.run.search_budget import check_search
from experiments.run.simple_baselines.scores import TITLES
from experiments.run.training import (
    OnStageEpoch,
    TrainedLayers,
    candidate_folder,
    epochs_of,
    load_workbench,
    train_layers,
)
from experiments.tracking.run_log import RunLog, check_loggers, run_log
from spt.answers.error_analysis import ErrorAnalysis
from spt.answers.options import AnswerRule
from spt.architecture import PromptLayers
from spt.data.reading.sources import hub_data_set
from spt.errors import InputError
from spt.evaluation import finite_probabilities
from spt.hub.model_card import write_model_card
from spt.model import PromptedModel
from spt.process.devices import use_device, use_threads
from spt.serving.classifier import PromptClassifier
from spt.serving.neighbours import read_input
from spt.storage.files import expanded, write_text
from spt.training.callbacks import OnEpoch
from spt.training.failures import device_memory
from spt.training.unfinished import delete_unfinished
from spt.workbench import Workbench
from strategies.ledger import Ledger
from strategies.options import MultiTrialOptions

WITHOUT_BASELINES = (
    "ended without baselines, and what is done is not repeated: delete its metrics.json to have prompt and "
    "baselines scored without training again"
)


@dataclass(frozen=True)
class Pipeline:
    """The stages that fill a claimed run folder; a stage that is done is read back, not repeated.

    Args:
        config: what to run.
        folder: of the run.
        workbench: what models are trained on.
        on_epoch: called with stage, epoch and dev score after each epoch.
        log: is told the scores at the end.
    """

    config: RunConfig
    folder: RunFolder
    workbench: Workbench
    on_epoch: OnStageEpoch | None = None
    log: RunLog | None = None

    @cached_property
    def ledger(self) -> Ledger:
        """Open the account of what the run has spent."""
        return Ledger(self.folder.ledger, self.config.search.budget_flops)

    def search(self) -> PromptLayers:
        """Find the layers, or read back those found; writes search/ and architecture.json."""
        folder = self.folder
        if folder.architecture.exists():
            return PromptLayers.load(folder.architecture)
        folder.search.mkdir(exist_ok=True)
        result = self._searched()
        layers = PromptLayers.of(result.layers, self.workbench.num_layers, result.kinds)
        result.write(folder.search_result)
        layers.save(folder.architecture)
        warn(search_signs(result.gates, folder.search, self.config))
        return layers

    def _searched(self) -> SearchResult:
        """Search with candidates trained in this process, or on a Ray cluster."""
        workbench, config, folder = self.workbench, self.config, self.folder.search
        find = partial(searching.search, workbench, config, folder, self.ledger, on_epoch=self.on_epoch)
        engine = config.search.engine if isinstance(config.search, MultiTrialOptions) else None
        if engine is None or engine.kind == "sequential":
            return find(train=partial(train_candidate, workbench, folder, self.on_epoch))
        # loads ray, for which no other search need wait
        from experiments.cluster.candidates import ray_candidates  # noqa: PLC0415

        with ray_candidates(workbench, config, engine, folder) as (ray_engine, train):
            return find(train=train, engine=ray_engine)

    def train(self) -> PromptClassifier:
        """Train prompts at the layers found, or read back the trained ones; writes model/ and train.json."""
        layers = self.search()
        folder, workbench = self.folder, self.workbench
        if folder.training_result.exists():
            # where a kill came between the two
            delete_unfinished(folder.train)
            return self._trained_before()
        train_kept = self._trained_by_dev if workbench.folds is None else self._trained_by_folds
        model, result = train_kept(layers)
        dev = joined(self._dev_answers(layers, model))
        rule = AnswerRule.fitted(self.config.answers, workbench.spec.task, *dev)
        spec = workbench.spec.model_copy(update={"answers": rule})
        classifier = PromptClassifier(model, workbench.tokenizer, spec, layers)
        classifier.save_pretrained(folder.model)
        write_text(folder.training_result, json.dumps(asdict(result), indent=2) + "\n")
        delete_unfinished(folder.train)
        warn(training_signs(folder.train, self.config))
        return classifier

    def _trained_before(self) -> PromptClassifier:
        """Read back the trained prompts.

        Raises:
            InputError: if they are damaged, or of other classes than the data.
        """
        folder, workbench = self.folder, self.workbench
        try:
            classifier = PromptClassifier.from_pretrained(
                folder.model, workbench.backbone, workbench.tokenizer
            )
        except InputError as error:
            raise InputError(
                f"{error} Delete '{folder.model}' and '{folder.training_result}' to train it again."
            ) from error
        self._check_classes(classifier)
        return classifier

    def _trained_by_dev(self, layers: PromptLayers) -> TrainedLayers:
        """Train layers until dev is best, or read back the candidate that they were."""
        folder = self.folder
        candidate = candidate_folder(folder.search, layers)
        if candidate.exists():
            # it is trained already, and what remains is to read it
            candidate.rename(folder.train)
        on_epoch = epochs_of("train", self.on_epoch)
        trained_layers = train_layers(self.workbench, layers, folder.train, on_epoch, folder.inherited)
        if not self._is_candidate(layers):
            result = trained_layers.result
            self.ledger.charge("retraining", result.flops, result.steps)
        return trained_layers

    def _trained_by_folds(self, layers: PromptLayers) -> TrainedLayers:
        """Train layers on all rows, for as many epochs as were best for the folds."""
        judged = self._judged(layers, epochs_of("train", self.on_epoch)).result
        bench = self.workbench.on_all_rows(judged.best_epoch or 0)
        model, last = train_layers(bench, layers, self.folder.train)
        self.ledger.charge("retraining", last.flops, last.steps)
        result = replace(last, dev=judged.dev)
        if not self._is_candidate(layers):
            self.ledger.charge("folds", judged.flops, judged.steps)
            result = replace(
                result,
                flops=last.flops + judged.flops,
                steps=last.steps + judged.steps,
                seconds=last.seconds + judged.seconds,
            )
        return TrainedLayers(model, result)

    def _judged(self, layers: PromptLayers, on_epoch: OnEpoch | None = None) -> JudgedLayers:
        """Judge layers by folds, or read back what the search or an earlier session has judged."""
        return judge(self.workbench, layers, candidate_folder(self.folder.search, layers), on_epoch)

    def _is_candidate(self, layers: PromptLayers) -> bool:
        """Say whether the search has trained these layers, and been charged for it."""
        return f"candidate {layers.name}" in self.ledger

    def _check_classes(self, classifier: PromptClassifier) -> None:
        """Refuse to score a prompt on data of other classes."""
        before, now = classifier.spec.task.labels or (), self.workbench.spec.task.labels or ()
        if before != now:
            raise InputError(
                f"The prompt in '{self.folder.model}' was trained with the classes {', '.join(before)}, but "
                f"the data have {', '.join(now)}. Restore the data, or choose another folder."
            )

    def evaluate(self) -> RunMetrics:
        """Score dev and, once, test; writes metrics.json, the report and the model card."""
        if self.folder.metrics.exists():
            return RunMetrics.read(self.folder.metrics)
        classifier = self.train()
        dev = self._dev_answers(classifier.architecture, classifier.model)
        test = self._probabilities("test", classifier.model)
        metrics = run_metrics(
            self.config, self.folder, self.workbench, classifier, dev, test, self.ledger.flops
        )
        tested = {TITLES[name]: score.test_metric for name, score in (metrics.baselines or {}).items()}
        data_set = hub_data_set(self.config.task, self.config.data.with_seed(self.config.seed))
        write_model_card(self.folder.model, metrics.as_json(), tested, data_set)
        task, rule = classifier.spec.task, classifier.spec.answers
        analysis = ErrorAnalysis.of("test", task, rule, *test, self.workbench.texts_of_test)
        analysis.write(self.folder.error_analysis)
        keep_readings(self.folder, read_input(classifier))
        write_run_report(self.folder, metrics)
        if self.log is not None:
            self.log.finish(metrics.as_json())
        metrics.write(self.folder.metrics)
        return metrics

    def _probabilities(self, split: str, model: PromptedModel) -> RowProbabilities:
        """Return the class probabilities, at temperature 1, and the labels of a split."""
        loader = self.workbench.batches(split, model, precision="32").loader
        return finite_probabilities(model, loader, self.workbench.spec.task)

    def _dev_answers(self, layers: PromptLayers, model: PromptedModel) -> list[RowProbabilities]:
        """Return the answers to dev; with folds those to each fold, by the model that never saw it."""
        if self.workbench.folds is None:
            return [self._probabilities("dev", model)]
        return [(fold.probabilities, fold.labels) for fold in self._judged(layers).folds]


def run(
    config: RunConfig,
    folder: Path,
    on_epoch: OnStageEpoch | None = None,
    workbench: Workbench | None = None,
) -> RunMetrics:
    """Search, derive, retrain and evaluate; continue where a run in `folder` was killed.

    Args:
        config: what to run.
        folder: made if it is not there; gets config.yml, search/, architecture.json, train/, model/,
            ledger.json, report.html and metrics.json.
        on_epoch: called with stage, epoch and dev score after each epoch.
        workbench: of the configuration, where it is loaded already.

    Raises:
        InputError: for bad input, before anything is written, a folder that is in use or of another run, or
            data or a backbone that are not those the run began with.
        TrialFailed: if the loss is not finite, or every candidate fails.
    """
    if config.data.test_size == 0:
        raise InputError(
            "data.test_size is 0, but a run ends with a score of test. Set it to a number of rows or to "
            "null, or train without a score by `spt train`."
        )
    place = RunFolder(expanded(folder))
    place.check(config)
    if place.metrics.exists():
        check_finished(config, place)
        metrics = RunMetrics.read(place.metrics)
        if config.baselines and metrics.baselines is None:
            warn([f"the run in '{place.path}' {WITHOUT_BASELINES}"])
        return metrics
    with claimed(config, place, on_epoch, workbench) as pipeline:
        return pipeline.evaluate()


def search(config: RunConfig, folder: Path) -> SearchResult:
    """Search only; continue where a search in `folder` was killed.

    Raises:
        InputError: as `run`.
        TrialFailed: as `run`.
    """
    place = RunFolder(expanded(folder))
    place.check(config)
    if place.architecture.exists() and place.search_result.exists():
        check_finished(config, place)
    else:
        with claimed(config, place) as pipeline:
            pipeline.search()
    return SearchResult.read(place.search_result)


def train(config: RunConfig, folder: Path) -> PromptClassifier:
    """Search and retrain only; continue where a run in `folder` was killed.

    Raises:
        InputError: as `run`.
        TrialFailed: as `run`.
    """
    with claimed(config, RunFolder(expanded(folder))) as pipeline:
        return pipeline.train()


@contextmanager
def claimed(
    config: RunConfig,
    folder: RunFolder,
    on_epoch: OnStageEpoch | None = None,
    workbench: Workbench | None = None,
) -> Iterator[Pipeline]:
    """Hold a run's folder; nothing is written before config, data and backbone are known to fit together.

    Args:
        config: of the run.
        folder: of the run, which may be one to go on in.
        on_epoch: called after each epoch of search and training.
        workbench: of the same data and backbone; loaded where there is none.

    Raises:
        InputError: if they do not, or the folder is in use or holds a run of another configuration or of
            other data or another backbone.
        TrialFailed: if the device is out of memory, in the scores of layers and the evaluation too.
    """
    folder.check(config)
    folder.check_complete(config)
    check_files(config, folder)
    check_loggers(config)
    use_threads(config.threads)
    use_device(config.device)
    workbench = workbench or load_workbench(config)
    check_search(workbench, config)
    with folder.claimed(config), device_memory():
        check_inputs(folder, RunInputs.of(config, workbench))
        with run_log(config, folder) as log:
            yield Pipeline(config, folder, workbench, log.following(on_epoch), log)
