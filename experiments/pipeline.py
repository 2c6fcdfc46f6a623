"""Search, retrain, evaluate: the one road every use takes, from a config to a run folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config import RunConfig
from experiments.run import searching
from experiments.run.answers import AnswerMetrics, RowProbabilities, threshold_signs
from experiments.run.baseline_scores import TITLES
from experiments.run.collapse import dev_signs, search_signs, training_signs, warn
from experiments.run.estimates import prompt_tuning_flops
from experiments.run.folder import RunFolder
from experiments.run.folds import JudgedLayers, judge, train_candidate
from experiments.run.inputs import RunInputs, check_files, check_finished, check_inputs
from experiments.run.report import keep_readings, write_run_report
from experiments.run.results import RunMetrics, SearchResult
from experiments.run.simple_baselines import measure_baselines
from experiments.run.training import (
    OnStageEpoch,
    TrainedLayers,
    candidate_folder,
    epochs_of,
    load_workbench,
    train_layers,
)
from experiments.tracking.run_log import RunLog, check_loggers, run_log
from spt.answers import AnswerRule
from spt.architecture import PromptLayers
from spt.data.cuts import cut_shares
from spt.data.sources import hub_data_set
from spt.decisions import decide, score_answers
from spt.devices import use_device, use_threads
from spt.error_analysis import ErrorAnalysis
from spt.errors import InputError
from spt.evaluation import probabilities
from spt.files import write_text
from spt.hub.model_card import write_model_card
from spt.json_files import checked, read_json
from spt.model import PromptedModel, trained
from spt.provenance import Provenance
from spt.score_intervals import jackknife_metric, metric_interval
from spt.serving.classifier import PromptClassifier
from spt.serving.neighbours import read_input
from spt.training.callbacks import OnEpoch, checkpoint_path
from spt.training.result import TrainingResult
from spt.workbench import Workbench
from strategies.ledger import Ledger
from strategies.options import MultiTrialOptions


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
        layers = PromptLayers.of(result.layers, self.workbench.num_layers)
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
            checkpoint_path(folder.train).unlink(missing_ok=True)
            return self._trained_before()
        train_kept = self._trained_by_dev if workbench.folds is None else self._trained_by_folds
        model, result = train_kept(layers)
        dev = _joined(self._dev_answers(layers, model))
        rule = AnswerRule.fitted(self.config.answers, workbench.spec.task, *dev)
        spec = workbench.spec.model_copy(update={"answers": rule})
        classifier = PromptClassifier(model, workbench.tokenizer, spec, layers)
        classifier.save_pretrained(folder.model)
        write_text(folder.training_result, json.dumps(asdict(result), indent=2) + "\n")
        checkpoint_path(folder.train).unlink(missing_ok=True)
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
        dev_parts = self._dev_answers(classifier.architecture, classifier.model)
        dev, test = _joined(dev_parts), self._probabilities("test", classifier.model)
        task, rule = classifier.spec.task, classifier.spec.answers
        signs = dev_signs(dev[1], decide(task, dev[0], rule.thresholds), task, self.config)
        # several labels a text have no temperature and no answer of none
        answers = None if task.multi_label else AnswerMetrics.of(rule, dev, test)
        if answers is not None:
            signs += threshold_signs(answers, self.config.answers.min_accuracy)
        warn(signs)
        *dev_scores, test_scores = (
            score_answers(task, labels, chances, rule.thresholds) for chances, labels in (*dev_parts, test)
        )
        metrics = self._metrics(classifier, dev_scores, test_scores, answers, signs)
        metrics = replace(metrics, **self._beside_baselines(rule, *test))
        tested = {TITLES[name]: score.test_metric for name, score in (metrics.baselines or {}).items()}
        data_set = hub_data_set(self.config.task, self.config.data)
        write_model_card(self.folder.model, metrics.as_json(), tested, data_set)
        analysis = ErrorAnalysis.of("test", task, rule, *test, self.workbench.texts_of_test)
        analysis.write(self.folder.error_analysis)
        keep_readings(self.folder, read_input(classifier))
        write_run_report(self.folder, metrics)
        if self.log is not None:
            self.log.finish(metrics.as_json())
        metrics.write(self.folder.metrics)
        return metrics

    def _beside_baselines(
        self, rule: AnswerRule, probabilities: NDArray[Any], labels: NDArray[Any]
    ) -> dict[str, Any]:
        """Measure what the score of test is to be read beside: its interval, baselines, and a cost."""
        task, expected = self.workbench.spec.task, labels.astype(np.int64)
        run_scores = jackknife_metric(task, expected, probabilities, rule.thresholds)
        baselines = None
        if self.config.baselines:
            measured = measure_baselines(self.workbench, RunInputs.read(self.folder.inputs))
            baselines = {name: baseline.beside(run_scores) for name, baseline in measured.items()}
        return {
            "test_interval": metric_interval(task, expected, probabilities, rule.thresholds),
            "baselines": baselines,
            "prompt_tuning_flops": prompt_tuning_flops(self.workbench),
        }

    def _probabilities(self, split: str, model: PromptedModel) -> RowProbabilities:
        """Return the class probabilities, at temperature 1, and the labels of a split."""
        loader = self.workbench.batches(split, model, precision="32").loader
        return probabilities(model, loader, self.workbench.spec.task)

    def _dev_answers(self, layers: PromptLayers, model: PromptedModel) -> list[RowProbabilities]:
        """Return the answers to dev; with folds those to each fold, by the model that never saw it."""
        if self.workbench.folds is None:
            return [self._probabilities("dev", model)]
        return [(fold.probabilities, fold.labels) for fold in self._judged(layers).folds]

    def _metrics(
        self,
        classifier: PromptClassifier,
        dev_parts: Sequence[dict[str, float]],
        test: dict[str, float],
        answers: AnswerMetrics | None,
        signs: Sequence[str],
    ) -> RunMetrics:
        search = SearchResult.read(self.folder.search_result)
        training = read_training(self.folder.training_result)
        prompt, head = _parameter_counts(classifier.model)
        config, workbench = self.config, self.workbench
        dev = {name: fmean(scores[name] for scores in dev_parts) for name in dev_parts[0]}
        folds = workbench.folds is not None
        used = workbench.final
        return RunMetrics(
            task=config.task.name,
            backbone=config.backbone.name,
            strategy=config.search.strategy,
            seed=config.seed,
            layers=classifier.architecture.layers,
            layers_total=classifier.architecture.total,
            metric=config.task.metric,
            dev_metric=dev["metric"],
            test_metric=test["metric"],
            dev_accuracy=dev["accuracy"],
            test_accuracy=test["accuracy"],
            test_f1=test["f1"],
            dev_macro_f1=dev["macro_f1"],
            test_macro_f1=test["macro_f1"],
            dev_weighted_f1=dev["weighted_f1"],
            test_weighted_f1=test["weighted_f1"],
            test_micro_f1=test.get("micro_f1"),
            test_mean_average_precision=test.get("mean_average_precision"),
            test_label_ranking=test.get("label_ranking"),
            gates=search.gates,
            scores=search.scores,
            evaluations=search.evaluations,
            prompt_parameters=prompt,
            head_parameters=head,
            tunable_parameters=prompt + head,
            search_seconds=search.search_seconds,
            train_seconds=training.seconds,
            total_seconds=search.search_seconds + training.seconds,
            search_steps=search.search_steps,
            train_steps=training.steps,
            train_epochs=training.epochs,
            search_flops=search.search_flops,
            train_flops=training.flops,
            total_flops=self.ledger.flops,
            train_size=used.rows("train"),
            dev_size=used.rows("train") if folds else used.rows("dev"),
            test_size=workbench.rows("test"),
            answers=answers,
            fold_metrics=tuple(scores["metric"] for scores in dev_parts) if folds else None,
            cut_texts=cut_shares(workbench.examples),
            class_weights=used.class_weights,
            left_out=workbench.left_out,
            provenance=Provenance.now(),
            warnings=(
                *workbench.cut_signs(),
                *search_signs(search.gates, self.folder.search, config),
                *training_signs(self.folder.train, config),
                *signs,
            ),
        )


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
    place = RunFolder(folder)
    place.check(config)
    if place.metrics.exists():
        check_finished(config, place)
        return RunMetrics.read(place.metrics)
    with claimed(config, place, on_epoch, workbench) as pipeline:
        return pipeline.evaluate()


def search(config: RunConfig, folder: Path) -> SearchResult:
    """Search only; continue where a search in `folder` was killed.

    Raises:
        InputError: as `run`.
        TrialFailed: as `run`.
    """
    place = RunFolder(folder)
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
    with claimed(config, RunFolder(folder)) as pipeline:
        return pipeline.train()


@contextmanager
def claimed(
    config: RunConfig,
    folder: RunFolder,
    on_epoch: OnStageEpoch | None = None,
    workbench: Workbench | None = None,
) -> Iterator[Pipeline]:
    """Hold a run's folder; nothing is written before config, data and backbone are known to fit together.

    Raises:
        InputError: if they do not, or the folder is in use or holds a run of another configuration or of
            other data or another backbone.
    """
    folder.check(config)
    folder.check_complete(config)
    check_files(config, folder)
    check_loggers(config)
    use_threads(config.threads)
    use_device(config.device)
    workbench = workbench or load_workbench(config)
    searching.check(workbench, config)
    with folder.claimed(config):
        check_inputs(folder, RunInputs.of(config, workbench))
        with run_log(config, folder) as log:
            yield Pipeline(config, folder, workbench, log.following(on_epoch), log)


def read_training(path: Path) -> TrainingResult:
    """Read a train.json.

    Raises:
        InputError: if it is damaged.
    """
    advice = "Delete it to train again."
    return checked(TrainingResult, read_json(path, advice), f"'{path}'", advice)


def _joined(parts: Sequence[RowProbabilities]) -> RowProbabilities:
    """Return the answers and labels of all parts as those of one."""
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _parameter_counts(model: PromptedModel) -> tuple[int, int]:
    """Count the trained parameters of the prompts and of the head."""
    counts = {name: p.numel() for name, p in trained(model)}
    head = sum(count for name, count in counts.items() if name.startswith("head."))
    return sum(counts.values()) - head, head
