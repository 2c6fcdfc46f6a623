"""Fit the head alone to its end, as a regression on the features of rows that are read once."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spt.data.encoded.batches import to_device
from spt.errors import TrialFailed
from spt.evaluation import evaluation_mode
from spt.heads import FeatureHead
from spt.model import PromptedModel
from spt.process.modes import Precision
from spt.process.precision import autocast

# of the penalty, as scikit-learn's and SetFit's; for two classes they have one vector, and C of 2 is as much
STRENGTH = 1.0
MOST_STEPS = 1000
SMALLEST_GRADIENT = 1e-6


class FittedHead(NamedTuple):
    """Hold the steps that a regression took, and the mean loss that it ended with, penalty aside."""

    steps: int
    loss: float


def fit_head(
    model: PromptedModel, train: DataLoader[Any], loss: nn.Module, precision: Precision
) -> FittedHead:
    """Minimise the head's mean loss over rows and the squares of its weights by L-BFGS, from zero.

    The minimum is one alone, whatever the seed; biases are not penalised.

    Args:
        model: whose head is fitted to the features of everything below it.
        train: batches of the rows.
        loss: (logits [N, C], labels) -> mean over the rows.
        precision: of the pass over the rows; the regression has 32 bits.

    Raises:
        TrialFailed: if the features are not finite.

    Source: SetFit (arXiv 2209.11055) for a logistic regression on tuned features.
    """
    features, labels = _features(model, train, precision)
    if not features.isfinite().all():
        raise TrialFailed(
            "Features that the head is fitted to are not finite. Lower training.generator_rate."
        )
    head, loss = cast(FeatureHead, model.head), loss.to(features.device)
    weights = [weight for weight in head.parameters() if weight.requires_grad]
    for weight in weights:
        nn.init.zeros_(weight)
    optimizer = torch.optim.LBFGS(
        weights,
        max_iter=MOST_STEPS,
        tolerance_grad=SMALLEST_GRADIENT,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def total() -> Tensor:
        optimizer.zero_grad()
        penalty = sum(weight.square().sum() for weight in weights if weight.dim() > 1)
        value: Tensor = loss(head.classify(features), labels) + penalty / (2 * STRENGTH * len(features))
        value.backward()
        return value

    optimizer.step(cast(Any, total))
    optimizer.zero_grad()
    with torch.no_grad():
        reached = float(loss(head.classify(features), labels))
    return FittedHead(int(optimizer.state[weights[0]]["n_iter"]), reached)


@torch.no_grad()
def _features(model: PromptedModel, train: DataLoader[Any], precision: Precision) -> tuple[Tensor, Tensor]:
    """Return the features [N, H] of all rows, and their labels [N]."""
    features, labels = [], []
    device = model.backbone.device
    with evaluation_mode(model), autocast(precision, device):
        for cpu_batch in train:
            batch = to_device(cpu_batch, device)
            features.append(model(batch, batch.get("start")).features.float())
            labels.append(batch["labels"])
    return torch.cat(features), torch.cat(labels)
