"""What metrics.json says of a run: its scores on dev and test, what they stand beside, and what it took."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from experiments.config import RunConfig
from experiments.run.answers import AnswerMetrics, RowProbabilities, threshold_signs
from experiments.run.collapse import dev_signs, search_signs, training_signs, warn
from experiments.run.estimates import prompt_tuning_flops
from experiments.run.folder import RunFolder
from experiments.run.results import RunMetrics, SearchResult, read_training
from experiments.run.simple_baselines.measuring import measure_baselines
from experiments.run.simple_baselines.scores import BaselineScores
from spt.answers.decisions import decide, score_answers
from spt.answers.score_intervals import JackknifeScores, jackknife_metric, metric_interval
from spt.data.encoded.cuts import cut_shares
from spt.model import PromptedModel, trained
from spt.process.provenance import Provenance
from spt.serving.classifier import PromptClassifier
from spt.workbench import Workbench


def run_metrics(
    config: RunConfig,
    folder: RunFolder,
    workbench: Workbench,
    classifier: PromptClassifier,
    dev: Sequence[RowProbabilities],
    test: RowProbabilities,
    flops: int,
) -> RunMetrics:
    """Return what a run has reached, and warn of what is wrong with it.

    Args:
        config: of the run.
        folder: of the run, whose search and training are done.
        workbench: of its data.
        classifier: its trained prompt.
        dev: the answers to dev, or to each fold.
        test: those to test.
        flops: operations that the run has spent.
    """
    task, rule = classifier.spec.task, classifier.spec.answers
    *dev_answers, test_answers = ((rule.calibrated(chances), labels) for chances, labels in (*dev, test))
    answers = AnswerMetrics.of(rule, joined(dev), test)
    chances, labels = joined(dev_answers)
    signs = [
        *dev_signs(labels, decide(task, chances, rule.thresholds), task, config),
        *threshold_signs(answers, config.answers.min_accuracy),
    ]
    warn(signs)
    *dev_parts, test_scores = (
        score_answers(task, labels, chances, rule.thresholds)
        for chances, labels in (*dev_answers, test_answers)
    )
    dev_scores = {name: fmean(scores[name] for scores in dev_parts) for name in dev_parts[0]}
    search = SearchResult.read(folder.search_result)
    training = read_training(folder.training_result)
    prompt, head = _parameter_counts(classifier.model)
    folds, used = workbench.folds is not None, workbench.final
    expected = test_answers[1].astype(np.int64)
    run_scores = jackknife_metric(task, expected, test_answers[0], rule.thresholds)
    return RunMetrics(
        task=task.name,
        backbone=config.backbone.name,
        strategy=config.search.strategy,
        seed=config.seed,
        layers=classifier.architecture.layers,
        layers_total=classifier.architecture.total,
        kinds=classifier.architecture.kinds,
        metric=task.metric,
        dev_metric=dev_scores["metric"],
        test_metric=test_scores["metric"],
        dev_accuracy=dev_scores["accuracy"],
        test_accuracy=test_scores["accuracy"],
        test_f1=test_scores["f1"],
        dev_macro_f1=dev_scores["macro_f1"],
        test_macro_f1=test_scores["macro_f1"],
        dev_weighted_f1=dev_scores["weighted_f1"],
        test_weighted_f1=test_scores["weighted_f1"],
        test_micro_f1=test_scores.get("micro_f1"),
        test_mean_average_precision=test_scores.get("mean_average_precision"),
        test_label_ranking=test_scores.get("label_ranking"),
        test_interval=metric_interval(task, run_scores, len(expected)),
        baselines=_baselines(config, workbench, run_scores),
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
        total_flops=flops,
        prompt_tuning_flops=prompt_tuning_flops(workbench),
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
            *search_signs(search.gates, folder.search, config),
            *training_signs(folder.train, config),
            *signs,
        ),
    )


def joined(parts: Sequence[RowProbabilities]) -> RowProbabilities:
    """Return the answers and labels of all parts as those of one."""
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _baselines(config: RunConfig, workbench: Workbench, run: JackknifeScores) -> BaselineScores | None:
    """Measure what needs no prompt beside the scores of the run on test, where that is asked for."""
    if not config.baselines:
        return None
    return {name: baseline.beside(run) for name, baseline in measure_baselines(workbench).items()}


def _parameter_counts(model: PromptedModel) -> tuple[int, int]:
    """Count the trained parameters of the prompts and of the head."""
    counts = {name: p.numel() for name, p in trained(model)}
    head = sum(count for name, count in counts.items() if name.startswith("head."))
    return sum(counts.values()) - head, head
