"""Calibration: a temperature that makes probabilities agree with frequencies, and how far they are off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
# of the temperatures that are tried
LOWEST, HIGHEST = 0.05, 20.0
# standard deviation of log T beforehand: without it, a small dev that is all right makes every answer sure
PRIOR = 0.5
# of a probability whose logarithm is taken
LEAST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class CalibrationScores:
    """Hold how well probabilities fit the labels; of each, less is better.

    Attributes:
        ece: expected calibration error, in [0, 1].
        brier: mean squared distance from the labels, summed over the classes, in [0, 2]; in [0, C] where a
            row may have several.
        nll: mean negative log-likelihood of a row's label or labels, in nats.
    """

    ece: float
    brier: float
    nll: float


def tempered(probabilities: NDArray[Any], temperature: float, several: bool = False) -> NDArray[Any]:
    """Return probabilities [..., C] at a temperature T: the softmax, or the sigmoid, of logits / T.

    The order of the classes stays. Source: Guo et al. 2017 (arXiv 1706.04599, section 4.2); from
    probabilities and not from logits, so that those of several windows are pooled before. For several labels
    a row ours: one temperature for all classes.

    Args:
        probabilities: of exclusive classes, each row of sum 1, or of each class for itself.
        temperature: above 0; above 1 makes answers less sure, 1 leaves them as they are.
        several: whether a row may have several of the classes.
    """
    if temperature == 1:
        return probabilities
    if several:
        without, within = _log_sides(probabilities)
        return np.asarray(1 / (1 + np.exp((without - within) / temperature)))
    scaled = _logs(probabilities) / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def fit_temperature(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Find the temperature of the likeliest labels, with a normal prior on its logarithm.

    Source: as `tempered`; the prior is ours.

    Args:
        probabilities: of held-out rows, [N, C].
        labels: class indices [N], or 1 for a row's classes and 0 for others [N, C].
    """
    # takes a while to load, for which prediction need not wait
    from scipy.optimize import minimize_scalar  # noqa: PLC0415

    def loss(log_temperature: float) -> float:
        cooled = tempered(probabilities, np.exp(log_temperature), labels.ndim > 1)
        likelihood = _log_likelihood(cooled, labels)
        return (log_temperature / PRIOR) ** 2 / 2 - likelihood

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(best.x)), 4)


def calibration_scores(probabilities: NDArray[Any], labels: NDArray[Any]) -> CalibrationScores:
    """Score probabilities [N, C] by the labels, [N], or [N, C] where a row may have several."""
    targets = labels if labels.ndim > 1 else np.eye(probabilities.shape[-1])[labels]
    return CalibrationScores(
        ece=expected_calibration_error(probabilities, labels),
        brier=float(((probabilities - targets) ** 2).sum(-1).mean()),
        nll=-_log_likelihood(probabilities, labels) / len(labels),
    )


def expected_calibration_error(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean distance of confidence and accuracy over bins of equal width, weighted by their rows.

    Where a row may have several labels, each of its classes counts as one of the rows: its probability, and
    whether the row has it.

    Source: Naeini et al. 2015, with the 15 bins of Guo et al. 2017.
    """
    if labels.ndim > 1:
        confidence, right = probabilities.ravel(), labels.ravel()
    else:
        confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    bin_of = bins_of(confidence, BINS)
    # |sum of right - sum of confidence| of a bin is its size times the distance of the two means
    gaps = np.bincount(bin_of, weights=right - confidence.astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def bins_of(confidence: NDArray[Any], bins: int) -> NDArray[Any]:
    """Return the number, from 0, of each confidence's bin among bins of equal width over [0, 1]."""
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def _logs(probabilities: NDArray[Any]) -> NDArray[Any]:
    return np.log(np.maximum(probabilities.astype(np.float64), LEAST))


def _log_sides(probabilities: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the logarithms of 1 - p and of p, bounded alike: a number nearer to 1 the type may not have."""
    least = float(np.finfo(probabilities.dtype).epsneg)
    bounded = np.clip(probabilities.astype(np.float64), least, 1 - least)
    return np.log1p(-bounded), np.log(bounded)


def _log_likelihood(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    if labels.ndim > 1:
        without, within = _log_sides(probabilities)
        return float(np.where(labels > 0, within, without).sum())
    return float(_logs(probabilities)[np.arange(len(labels)), labels].sum())
