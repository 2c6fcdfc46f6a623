"""Layers scored by what they add to what a linear probe could read, from one forward pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor

from spt.architecture import Layers
from spt.build import ModelFactory
from spt.data.encoded.batches import Batch, to_device
from spt.frozen_levels import level_means
from spt.process.precision import autocast
from spt.tasks import Task
from spt.training.config import TrainingConfig
from spt.training.fit import Loader

# of the fixed point; it is there after few
MOST_ITERATIONS = 100
TOLERANCE = 1e-3
# keeps a perfect fit finite
LEAST = 1e-5


class LevelMoments:
    """Sum what linear regression needs to know of features and targets, without keeping the rows.

    Args:
        levels: how many features of a row there are.
        width: H.
        outputs: C.
    """

    def __init__(self, levels: int, width: int, outputs: int) -> None:
        self.rows = 0
        self.x = torch.zeros(levels, width, dtype=torch.double)
        self.xx = torch.zeros(levels, width, width, dtype=torch.double)
        self.xy = torch.zeros(levels, width, outputs, dtype=torch.double)
        self.y = torch.zeros(outputs, dtype=torch.double)
        self.yy = torch.zeros(outputs, dtype=torch.double)

    def add(self, features: Tensor, targets: Tensor) -> None:
        """Add rows: features [B, levels, H], targets [B, C]."""
        x, y = features.double().transpose(0, 1), targets.double()
        self.rows += len(y)
        self.x += x.sum(1)
        self.xx += x.mT @ x
        self.xy += x.mT @ y
        self.y += y.sum(0)
        self.yy += y.square().sum(0)

    def evidence(self, level: int) -> float:
        """Return the mean log evidence of a level, a row and output.

        Centring takes a row's worth: without it, a perfect fit to few rows would be believed without end.
        """
        n, x, y = self.rows, self.x[level], self.y
        return log_evidence(
            self.xx[level] - torch.outer(x, x) / n,
            self.xy[level] - torch.outer(x, y) / n,
            self.yy - y.square() / n,
            max(1, n - 1),
        )


def log_evidence(gram: Tensor, products: Tensor, squares: Tensor, rows: int) -> float:
    """Return the log evidence of Bayesian linear regression at its best two precisions, a row and output.

    Args:
        gram: of centred features, X^T X, [H, H].
        products: with centred targets, X^T Y, [H, C].
        squares: of those targets, summed, [C]; an output that never changes is left out.
        rows: N that have gone into the sums, less one for the centring.

    Returns:
        The mean over the outputs; 0 where none changes, and nan where a sum is not finite.

    Source: LogME (arXiv 2102.11005); that it takes sums in place of rows, and centres them, is ours.
    """
    if not (gram.isfinite().all() and products.isfinite().all()):
        return math.nan
    spectrum, vectors = _directions(gram, rows)
    projected = (vectors.mT @ products).square()
    changing = [output for output, square in enumerate(squares.tolist()) if square > 0]
    evidences = [_of_output(spectrum, projected[:, output], squares[output], rows) for output in changing]
    return sum(evidences) / max(1, len(evidences))


def _directions(gram: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues above rounding noise, at most one a row, and their vectors: [D], [H, D]."""
    values, vectors = torch.linalg.eigh(gram)
    noise = torch.finfo(gram.dtype).eps * len(values) * values[-1]
    first = max(int((values <= noise).sum()), len(values) - rows)
    return values[first:], vectors[:, first:]


def _of_output(spectrum: Tensor, projected: Tensor, square: Tensor, rows: int) -> float:
    """Iterate alpha, the precision of the weights, and beta, that of the noise, to their fixed point."""
    width = len(spectrum)
    # features that are all the same leave the weights their prior
    alpha, beta = 1.0, 1.0 if width else rows / (float(square) + LEAST)
    for _ in range(MOST_ITERATIONS if width else 0):
        ratio = alpha / beta
        used = float((spectrum / (spectrum + ratio)).sum())
        # as a sum, which is above 0 also where the rows are as good as used up
        unused = rows - width + float((ratio / (spectrum + ratio)).sum())
        weights, residual = _fit(spectrum, projected, square, ratio)
        alpha, beta = used / (weights + LEAST), unused / (residual + LEAST)
        if abs(alpha / beta - ratio) < TOLERANCE * ratio:
            break
    weights, residual = _fit(spectrum, projected, square, alpha / beta)
    evidence = (width * math.log(alpha) + rows * math.log(beta) - rows * math.log(2 * math.pi)) / 2
    evidence -= float((alpha + beta * spectrum).log().sum()) / 2
    return (evidence - (beta * residual + alpha * weights) / 2) / rows


def _fit(spectrum: Tensor, projected: Tensor, square: Tensor, ratio: float) -> tuple[float, float]:
    """Return the squared norms of the regression's weights and of its residual at alpha / beta."""
    shrunk = spectrum + ratio
    weights = float((projected / shrunk.square()).sum())
    residual = square - 2 * (projected / shrunk).sum() + (spectrum * projected / shrunk.square()).sum()
    return weights, max(0.0, float(residual))


def probe_scores(
    factory: ModelFactory, layers: Layers, train: Loader, task: Task, config: TrainingConfig
) -> Mapping[int, float]:
    """Score layers by what they add to the evidence for the labels in the means of the tokens' states.

    A window of a long text counts as a row.

    Args:
        factory: of the backbone; no prompt is made.
        layers: that are scored, lowest first.
        train: batches of the training data.
        task: with its classes.
        config: names the precision.

    Source: ours. The output alone rises with depth on most tasks, so that a layer is scored by what it adds;
    `python -m benchmarks search-deep` measures how well that ranks layers for a prompt.
    """
    classes, backbone = len(task.labels or ()), factory.backbone
    levels = sorted({level for layer in layers for level in (layer, layer + 1)})
    moments = LevelMoments(len(levels), backbone.hidden_size, classes)
    for batch in cast(Iterable[Batch], train):
        moved = to_device(batch, backbone.device)
        with autocast(config.precision, backbone.device):
            means = level_means(backbone, moved, levels)
        moments.add(means.cpu(), _targets(batch["labels"], classes))
    evidence = {level: moments.evidence(number) for number, level in enumerate(levels)}
    return {layer: evidence[layer + 1] - evidence[layer] for layer in layers}


def _targets(labels: Tensor, classes: int) -> Tensor:
    """Return class indices [B] as 1 for each row's class: [B, C]; several labels are so already."""
    return labels if labels.ndim == 2 else torch.nn.functional.one_hot(labels, classes)
