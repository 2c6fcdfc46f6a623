"""What needs no training of the backbone: TF-IDF, and a linear probe on its frozen levels."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from benchmarks.equal_operations.figures import Figures, ProcessorClock
from experiments.config import RunConfig
from experiments.run.simple_baselines.features import level_features, token_texts
from experiments.run.simple_baselines.measuring import (
    STRENGTHS,
    best_of,
    fitted_and_scored,
    probe_regression,
    tfidf_regression,
)
from experiments.run.training import load_workbench
from spt.flops import FlopCounter
from spt.process.devices import use_threads


def fit_frozen(config: RunConfig, kind: Literal["tfidf", "linear_probe"]) -> Figures:
    """Fit one of the baselines that every run has beside it, its regularisation chosen on dev, and score it.

    Its operations are those of the backbone on train and dev. A regression's own, which are few and which
    scikit-learn does not say, are not counted.
    """
    use_threads(config.threads)
    bench = load_workbench(config)
    read: Any = token_texts if kind == "tfidf" else partial(level_features, bench)
    examples, clock, counter = fitted_and_scored(bench), ProcessorClock(), FlopCounter()
    with clock.running(), counter:
        features = {split: read(examples[split]) for split in ("train", "dev")}
    features["test"] = read(examples["test"])
    if kind == "tfidf":
        models = [tfidf_regression(100 * strength) for strength in STRENGTHS]
        columns = models[0][0].fit_transform(features["train"]).shape[1]
    else:
        models = [probe_regression(strength) for strength in STRENGTHS]
        columns = features["train"].shape[1]
    with clock.running():
        measured = best_of(bench, examples, features, models)
    assert measured.dev is not None
    # of two classes a regression has one output
    outputs = 1 if bench.spec.classes == 2 else bench.spec.classes
    return Figures(
        measured.dev,
        measured.test.score,
        tunable_parameters=outputs * (columns + 1),
        train_flops=counter.total,
        seconds=clock.seconds,
    )
