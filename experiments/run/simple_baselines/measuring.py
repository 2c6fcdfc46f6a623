"""What a run has to beat to be worth it: answers to the same rows that need no prompt, in seconds."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.run.simple_baselines.features import level_features, token_texts
from experiments.run.simple_baselines.scores import BaselineScore
from spt.answers.decisions import dev_thresholds, score_dev
from spt.answers.score_intervals import Interval, JackknifeScores, jackknife_metric, metric_interval
from spt.assets import cache_folder
from spt.data.encoded.examples import Examples
from spt.errors import InputError
from spt.evaluation import pool_windows
from spt.storage.digests import SIZE, json_digest
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json
from spt.workbench import Workbench

# examples that they are fitted on, at most; more would cost minutes and change little
MOST = 5000
# inverse strengths of the regularisation, of which dev chooses
STRENGTHS = (0.01, 0.1, 1.0)
UNCHOSEN = (0.1,)
VERSION = 3

Features = Any


@dataclass(frozen=True)
class MeasuredBaseline:
    """Hold what a baseline scores: the task's metric on dev, where there is one, and on test.

    Attributes:
        dev: None where there is none.
        test: of the rows that a run is scored on.
        test_interval: of the metric on test, as that of a run.
    """

    dev: float | None
    test: JackknifeScores
    test_interval: Interval | None

    def beside(self, run: JackknifeScores) -> BaselineScore:
        """Set the scores of a run's answers to the same rows of test beside it."""
        return BaselineScore(self.dev, self.test.score, self.test_interval, run.minus(self.test).interval)


def measure_baselines(bench: Workbench) -> dict[str, MeasuredBaseline]:
    """Fit the baselines on train, choose their regularisation by dev, and score dev and test.

    - majority: the likeliest answer, whatever the text.
    - tfidf: TF-IDF of the backbone's tokens and of pairs of neighbours, and logistic regression.
    - linear_probe: logistic regression on the means of the tokens' states at up to 8 levels of the frozen
      backbone, in one forward pass without prompts.

    A file in the cache folder keeps the scores for other runs that would have the same, and for no others;
    where the workbench caches nothing, there is none.

    Args:
        bench: data and backbone.

    Source: ours. Operations are not charged to the run, as nothing that trains depends on them.
    """
    examples = {split: part for split, part in fitted_and_scored(bench).items() if len(part)}
    path = cache_folder() / "baselines" / f"{_key(bench, examples)}.json"
    cached = bench.cache.mode != "off"
    if cached and (known := _known(path)) is not None:
        return known
    tokens = {split: token_texts(part) for split, part in examples.items()}
    states = {split: level_features(bench, part) for split, part in examples.items()}
    strengths = STRENGTHS if "dev" in examples else UNCHOSEN
    measured = {
        "majority": best_of(bench, examples, tokens, [DummyClassifier(strategy="prior")]),
        "tfidf": best_of(bench, examples, tokens, [tfidf_regression(100 * each) for each in strengths]),
        "linear_probe": best_of(bench, examples, states, [probe_regression(each) for each in strengths]),
    }
    if cached:
        _keep(path, measured)
    return measured


def fitted_and_scored(bench: Workbench) -> dict[str, Examples]:
    """Return the examples of each split, of train no more than so many, and with folds those of all rows."""
    examples = bench.final.examples
    train = examples["train"]
    if len(train) > MOST:
        drawn = np.random.default_rng(bench.seed).choice(len(train), MOST, replace=False)
        train = train.take(np.sort(drawn).tolist())
    return {**examples, "train": train}


def tfidf_regression(strength: float) -> Any:
    """Return TF-IDF of tokens and pairs of them, and logistic regression."""
    words = TfidfVectorizer(tokenizer=str.split, token_pattern=None, ngram_range=(1, 2), sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=strength, max_iter=300))


def probe_regression(strength: float) -> Any:
    """Return logistic regression on standardised states."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))


def best_of(
    bench: Workbench, examples: dict[str, Examples], features: dict[str, Features], models: Sequence[Any]
) -> MeasuredBaseline:
    """Fit models on train, and return the scores of the one that is best on dev, as `score_of` has them."""
    return max(
        (score_of(bench, examples, features, model) for model in models),
        key=lambda scored: scored.dev or 0.0,
    )


def score_of(
    bench: Workbench, examples: dict[str, Examples], features: dict[str, Features], model: Any
) -> MeasuredBaseline:
    """Fit a model on train, and score it on dev, where there is one, and test.

    Args:
        bench: of the run.
        examples: of each split, with their labels.
        features: of each split, in the order of its examples.
        model: a classifier of scikit-learn.
    """
    task = bench.spec.task
    if not task.multi_label and len(np.unique(examples["train"].labels)) == 1:
        # regressions refuse a single class, which may be all that was drawn
        model = DummyClassifier()
    fitted = OneVsRestClassifier(model) if task.multi_label else model
    with warnings.catch_warnings():
        # a few hundred steps are enough for a baseline, and a class may have no row
        warnings.simplefilter("ignore")
        fitted.fit(features["train"], examples["train"].labels.astype(np.int64))
    answers = {
        split: row_answers(part, chances_of(fitted, features[split], bench.spec.classes))
        for split, part in examples.items()
        if split != "train"
    }
    dev, thresholds = None, None
    if "dev" in answers:
        chances, labels = answers["dev"]
        dev, thresholds = score_dev(task, labels, chances)["metric"], dev_thresholds(task, labels, chances)
    chances, labels = answers["test"]
    test = jackknife_metric(task, labels.astype(np.int64), chances, thresholds)
    return MeasuredBaseline(dev, test, metric_interval(task, test, len(labels)))


def chances_of(fitted: Any, features: Features, classes: int) -> NDArray[Any]:
    """Return class probabilities [N, C]; classes that train has no row of get none."""
    known = fitted.predict_proba(features)
    chances = np.zeros((len(known), classes))
    chances[:, np.asarray(fitted.classes_, dtype=int)] = known
    return chances


def row_answers(examples: Examples, chances: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return probabilities and labels of rows, those of a text's windows pooled."""
    rows, labels = torch.from_numpy(examples.rows), torch.from_numpy(examples.labels)
    pooled = pool_windows(rows, torch.from_numpy(chances), labels)
    return pooled.probabilities.numpy(), pooled.labels.numpy()


def _key(bench: Workbench, examples: Mapping[str, Examples]) -> str:
    """Name scores by all they depend on: the rows that are fitted and scored, the task, and the backbone."""
    task = bench.spec.task
    return json_digest(
        [
            VERSION,
            {split: _rows_digest(part) for split, part in examples.items()},
            [bench.spec.classes, task.metric, task.multi_label],
            bench.backbone_identity.as_json(),
            # what may change the last bits of the states
            [bench.spec.backbone.attention, bench.training.eval_batch_size, bench.backbone.device.type],
            [sklearn.__version__, torch.__version__],
        ]
    )


def _rows_digest(examples: Examples) -> str:
    """Return the digest of rows in order: their tokens, labels, and which windows are of one row."""
    digest = hashlib.blake2b(digest_size=SIZE)
    for array in (
        examples.input_ids,
        examples.token_type_ids,
        examples.lengths,
        examples.labels,
        examples.rows,
    ):
        if array is not None:
            digest.update(f"{array.dtype} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def _known(path: Path) -> dict[str, MeasuredBaseline] | None:
    try:
        content = read_json(path, "Delete it.")
        return {
            name: checked(MeasuredBaseline, value, f"'{path}'", "Delete it.")
            for name, value in content.items()
        }
    except InputError:
        # missing, or damaged and measured again
        return None


def _keep(path: Path, measured: Mapping[str, MeasuredBaseline]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({name: asdict(baseline) for name, baseline in measured.items()}) + "\n")
    except OSError:
        # the next run over the same data measures them itself
        return
