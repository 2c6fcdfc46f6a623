"""How many epochs of a training fit into a budget of operations, counted before it begins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from benchmarks.equal_operations.figures import OverBudget
from spt.data.encoded.batches import BucketedBatches, to_device
from spt.data.encoded.examples import Examples
from spt.evaluation import evaluation_mode
from spt.flops import flops
from spt.model import PromptedModel
from spt.tasks import Task
from spt.training.config import TrainingConfig
from spt.training.contrast import class_batches, pair_loss
from spt.training.fit import Loader
from spt.training.losses import new_loss

# what counting a few batches may miss
MARGIN = 1.01


class RowCost(NamedTuple):
    """Hold the operations of a row as a polynomial in the tokens of its padded batch, highest power first."""

    coefficients: tuple[float, ...]

    def __call__(self, rows: int, tokens: int) -> float:
        """Return the operations of a batch."""
        return rows * float(np.polyval(self.coefficients, tokens))


def epochs_within(
    budget: float,
    model: PromptedModel,
    train: Loader,
    dev: Loader,
    task: Task,
    training: TrainingConfig,
    seed: int,
) -> int:
    """Return how many epochs of a training, dev scores included, fit into a budget.

    One with contrastive steps has no epochs; all of it fits, or nothing does.

    Args:
        budget: operations that are left for it.
        model: that will be trained; its gradients are gone afterwards.
        train: batches that it will be trained on.
        dev: that each epoch ends with.
        task: of the model.
        training: whose epochs are the most.
        seed: of the training.

    Raises:
        OverBudget: if there is no room for one.

    Source: ours. The attention makes a row's operations a polynomial of second degree in its tokens, which
    the batches of the shortest, a middle and the longest rows tell.
    """
    loss = new_loss(task)
    # a second forward pass counts too
    model.checkpointing = training.checkpointing

    def train_step(batch: Any) -> None:
        loss(model(batch, batch.get("start")).logits, batch["labels"]).backward()

    def contrastive_step(batch: Any) -> None:
        pair_loss(model(batch, batch.get("start")).features, batch["labels"]).backward()

    @torch.inference_mode()
    def forward(batch: Any) -> None:
        model(batch, batch.get("start"))

    left = budget / MARGIN
    # attention without dropout may be computed another way
    with evaluation_mode(model):
        dev_flops = _pass(_row_cost(dev, forward, model), dev, 0)
    if training.contrastive_steps:
        with evaluation_mode(model):
            reading = _pass(_row_cost(train, forward, model), train, 0)
        whole = _contrastive(_row_cost(train, contrastive_step, model), train, training, seed)
        whole += reading + dev_flops
        if whole > left:
            raise OverBudget(_too_much("The contrastive stage", whole, left))
        return training.epochs
    row = _row_cost(train, train_step, model)
    for epoch in range(training.epochs):
        epoch_flops = _pass(row, train, epoch) + dev_flops
        if epoch_flops > left:
            if epoch:
                return epoch
            raise OverBudget(_too_much("An epoch", epoch_flops, left))
        left -= epoch_flops
    return training.epochs


def _too_much(part: str, operations: float, left: float) -> str:
    return (
        f"{part} takes {operations / 1e12:.2g} * 10^12 operations, and the budget has "
        f"{max(left, 0) / 1e12:.2g} left."
    )


def _pass(row: RowCost, loader: Loader, epoch: int) -> float:
    """Return the operations of an epoch's batches."""
    return sum(row(len(rows), tokens) for rows, tokens in _batches(loader, epoch))


def _contrastive(row: RowCost, loader: Loader, training: TrainingConfig, seed: int) -> float:
    examples = _examples(loader)
    batches = class_batches(torch.from_numpy(examples.labels), training, seed)
    return sum(row(len(rows), int(examples.lengths[rows].max())) for rows in batches)


def _row_cost(loader: Loader, step: Callable[[Any], None], model: PromptedModel) -> RowCost:
    batches = sorted(_batches(loader, 0), key=lambda batch: batch[1])
    chosen = {tokens: rows for rows, tokens in (batches[0], batches[len(batches) // 2], batches[-1])}
    collate = cast(Any, loader.collate_fn)
    costs = []
    for rows in chosen.values():
        batch = to_device(collate(_examples(loader).take(rows)), model.backbone.device)
        costs.append(flops(partial(step, batch)) / len(rows))
    model.zero_grad(set_to_none=True)
    return RowCost(tuple(np.polyfit(list(chosen), costs, len(chosen) - 1)))


def _batches(loader: Loader, epoch: int) -> list[tuple[list[int], int]]:
    """List the rows of an epoch's batches, and the tokens that each is padded to."""
    sampler = cast(BucketedBatches, loader.batch_sampler)
    lengths = sampler.lengths.numpy()
    copied = BucketedBatches(lengths, sampler.batch_size, sampler.seed)
    copied.set_epoch(epoch)
    return [(rows, int(lengths[rows].max())) for rows in copied]


def _examples(loader: Loader) -> Examples:
    return cast(Examples, loader.dataset)
