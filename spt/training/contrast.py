"""A contrastive first stage for few rows: features of a class draw together before the head is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from spt.data.encoded.batches import to_device
from spt.data.encoded.examples import Examples
from spt.errors import TrialFailed
from spt.flops import FlopCounter
from spt.model import PromptedModel, trained
from spt.process.precision import autocast
from spt.seeds import derived_seed
from spt.storage.tensor_files import read_tensors, write_tensors
from spt.training.config import CONTRASTIVE_ROWS, TrainingConfig
from spt.training.rates import parameter_groups, rise_and_fall
from spt.training.unfinished import stage_path

# rows of a class in a step, where so many classes have rows
ROWS_OF_A_CLASS = 4
ADVICE = "Choose another folder for the training, or delete this one."


class StageCost(NamedTuple):
    """Hold what the stage took."""

    steps: int
    seconds: float
    flops: int


def contrast(
    model: PromptedModel, train: DataLoader[Any], config: TrainingConfig, seed: int, folder: Path
) -> StageCost:
    """Train all but the head so that features of two rows are alike just where their classes are.

    What the stage gave is kept in folder/contrast.safetensors; a folder that has it is not trained again.
    Where the head alone trains, there is no stage.

    Args:
        model: to train.
        train: batches of the training split, which say how rows become a batch.
        config: of the training.
        seed: of the rows of each step.
        folder: of the training.

    Raises:
        TrialFailed: if the loss is not finite.
        InputError: if the file of a finished stage is damaged.

    Source: SetFit (arXiv 2209.11055) for the stage and its cosines. All pairs of a batch in place of pairs
    drawn one by one, and leaving cosines below 0 as they are, are ours.
    """
    path = stage_path(folder)
    if path.exists():
        stored = read_tensors(path, ADVICE)
        model.load_state_dict(stored.tensors, strict=False)
        # a finished stage has taken all of its steps
        return StageCost(
            config.contrastive_steps, float(stored.metadata["seconds"]), int(stored.metadata["flops"])
        )
    if all(name.startswith("head.") for name, _ in trained(model)):
        return StageCost(0, 0.0, 0)
    start = monotonic()
    flops = _train(model, train, config, seed)
    cost = StageCost(config.contrastive_steps, monotonic() - start, flops)
    tensors = {name: p.detach().cpu().contiguous() for name, p in trained(model)}
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, {"seconds": str(cost.seconds), "flops": str(cost.flops)})
    return cost


def _train(model: PromptedModel, train: DataLoader[Any], config: TrainingConfig, seed: int) -> int:
    """Take the stage's steps; returns their operations."""
    examples, device = cast(Examples, train.dataset), model.backbone.device
    groups = parameter_groups(model, config)
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    schedule = rise_and_fall(optimizer, config.contrastive_steps, config.warmup)
    parameters = [parameter for group in groups for parameter in group["params"]]
    torch.manual_seed(derived_seed(seed, 0))
    model.train()
    counter = FlopCounter()
    for step, rows in enumerate(class_batches(torch.from_numpy(examples.labels), config, seed)):
        batch = to_device(cast(Any, train.collate_fn)(examples.take(rows)), device)
        with counter:
            with autocast(config.precision, device):
                features = model(batch, batch.get("start")).features
            loss = pair_loss(features.float(), batch["labels"])
            loss.backward()
        if not torch.isfinite(loss):
            error = TrialFailed(
                f"The contrastive loss is {loss.item()} in step {step}. Lower {config.named_rates}."
            )
            error.flops = counter.total
            raise error
        clip_grad_norm_(parameters, config.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return counter.total


def class_batches(labels: Tensor, config: TrainingConfig, seed: int) -> Iterator[list[int]]:
    """Draw the rows of each step: a few classes, and as many rows of each.

    Args:
        labels: class of each row, [N].
        config: says how many steps.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    rows_of = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    chosen = min(len(rows_of), CONTRASTIVE_ROWS // ROWS_OF_A_CLASS)
    for _ in range(config.contrastive_steps):
        classes = torch.randperm(len(rows_of), generator=generator)[:chosen].tolist()
        drawn = [
            rows[torch.randperm(len(rows), generator=generator)[: CONTRASTIVE_ROWS // chosen]]
            for rows in (rows_of[index] for index in classes)
        ]
        yield torch.cat(drawn).tolist()


def pair_loss(features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean square by which cosines miss 1 for two rows of a class, and 0 or less for others.

    Args:
        features: [B, H].
        labels: [B].
    """
    directions = functional.normalize(features, dim=-1)
    cosines = directions @ directions.T
    alike = labels[:, None] == labels[None]
    misses = torch.where(alike, 1 - cosines, cosines.clamp_min(0)).square()
    pairs = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return misses[pairs].mean()
