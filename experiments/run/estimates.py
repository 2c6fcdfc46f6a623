"""What a training will take at most, from one step on its longest batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from spt.architecture import PromptLayers
from spt.build import new_factory
from spt.data.encoded.batches import BucketedBatches, make_loader, to_device
from spt.flops import flops
from spt.model import PromptedModel, trained
from spt.process.devices import chosen_device
from spt.prompts.config import PromptConfig
from spt.training.config import CONTRASTIVE_ROWS
from spt.training.losses import new_loss
from spt.workbench import Workbench

# the padding of another epoch's batches is not quite that of the first
MARGIN = 1.05
# takes a batch
Step = Callable[[Any], None]


def candidate_flops(workbench: Workbench, layers: PromptLayers) -> float:
    """Estimate the FLOPs of judging these layers: of a training by dev, or of one a fold."""
    if workbench.folds is None:
        return training_flops(workbench, layers)
    return sum(training_flops(fold, layers) for fold in workbench.fold_workbenches)


def retraining_flops(workbench: Workbench, layers: PromptLayers) -> float:
    """Estimate the FLOPs of training judged layers on all rows, for which there is no need without folds."""
    if workbench.folds is None:
        return 0
    return training_flops(workbench.on_all_rows(workbench.training.epochs), layers)


def training_flops(workbench: Workbench, layers: PromptLayers) -> float:
    """Estimate the FLOPs of training prompts at these layers, without a prefix cache or an early stop."""
    model = workbench.factory.model(layers)
    if next(trained(model), None) is None:
        # such a model is only scored
        return 0
    training, length = workbench.training, longest_prompt(workbench, layers)
    step = _training_step(workbench, model)
    rows = _rows(workbench, model, "train", training.batch_size, step, length)
    dev = dev_flops(workbench, model, length) if "dev" in workbench.examples else 0
    if training.contrastive_steps:
        # their batches are not of rows of similar length; then the head is fitted to what one pass gives
        return training.contrastive_steps * CONTRASTIVE_ROWS * rows.longest + rows.every + dev
    return training.epochs * (rows.every + dev)


def scoring_flops(workbench: Workbench) -> float:
    """Estimate the FLOPs of scoring every layer: no more than a forward and a backward pass over train."""
    layers = PromptLayers.of(range(workbench.num_layers), workbench.num_layers)
    model, length = workbench.factory.model(layers), longest_prompt(workbench, layers)
    step = _training_step(workbench, model)
    return _rows(workbench, model, "train", workbench.training.batch_size, step, length).every


def training_step_flops(workbench: Workbench, model: PromptedModel, length: int) -> float:
    """Estimate the FLOPs of a forward and a backward pass on the longest batch of train.

    Args:
        workbench: has the batches.
        model: that trains.
        length: of its longest prompt.
    """
    size, step = workbench.training.batch_size, _training_step(workbench, model)
    return size * _rows(workbench, model, "train", size, step, length).longest


def states_flops(workbench: Workbench, first: int) -> float:
    """Estimate the FLOPs of the states of train and dev below a layer, which a cache keeps; 0 without one."""
    if first == 0 or workbench.cache.mode == "off":
        return 0
    model = workbench.factory.model(PromptLayers.of([], workbench.num_layers))
    size, step = workbench.training.batch_size, _forward_step(model)
    passes = (_rows(workbench, model, split, size, step, 0) for split in ("train", "dev"))
    return sum(each.every for each in passes) * first / workbench.num_layers


def dev_flops(workbench: Workbench, model: PromptedModel, length: int) -> float:
    """Estimate the FLOPs of scoring dev once; the model's longest prompt has `length` vectors."""
    size, step = workbench.training.eval_batch_size, _forward_step(model)
    return _rows(workbench, model, "dev", size, step, length).every


def prompt_tuning_flops(workbench: Workbench) -> int | None:
    """Estimate the FLOPs of training one free prompt at the input: the measure of what a run spent.

    As long as the run's prompts, on the rows that its kept layers train on, for all of training.epochs, which
    an early stop does not shorten, and with a dev score after each. None under contrastive steps, which read
    no epochs. The operations of a row are a polynomial in its tokens, of second degree because of the
    attention, which three rows alone tell; each row counts with the tokens of its padded batch.

    Source: ours, for Prompt Tuning (arXiv 2104.08691).
    """
    if workbench.training.contrastive_steps:
        return None
    bench = workbench.final
    free = PromptConfig(generator="free", length=bench.spec.prompt.length)
    # vectors among the words are free ones at the input already
    spec = (
        bench.spec
        if bench.spec.prompt.place == "template"
        else bench.spec.model_copy(update={"prompt": free})
    )
    model = new_factory(spec, bench.backbone, bench.tokenizer, bench.seed).model(
        PromptLayers.of([0], bench.num_layers)
    )
    model.to(chosen_device())
    training, step = bench.training, _training_step(bench, model)
    epoch = _padded_flops(bench, "train", training.batch_size, bench.seed, step)
    if "dev" in bench.examples:
        epoch += _padded_flops(bench, "dev", training.eval_batch_size, None, _forward_step(model))
    # with folds, how long all rows are trained on is left open in their workbench
    return round(workbench.training.epochs * epoch)


def _training_step(workbench: Workbench, model: PromptedModel) -> Step:
    """Return what passes a batch forward and backward, layers run twice where the training does so."""
    model.checkpointing = workbench.training.checkpointing
    loss = new_loss(workbench.spec.task)

    def step(batch: Any) -> None:
        loss(model(batch).logits, batch["labels"]).backward()

    return step


def _forward_step(model: PromptedModel) -> Step:
    """Return what passes a batch forward alone."""

    @torch.inference_mode()
    def step(batch: Any) -> None:
        model(batch)

    return step


def _padded_flops(workbench: Workbench, split: str, batch_size: int, seed: int | None, step: Step) -> float:
    """Estimate the FLOPs of a pass over a split from those of its shortest, middle and longest row."""
    examples = workbench.examples[split]
    if not len(examples):
        return 0.0
    by_length = np.argsort(examples.lengths, kind="stable")
    rows = {int(examples.lengths[row]): row for row in by_length[[0, len(by_length) // 2, -1]]}
    operations = []
    for row in rows.values():
        (batch,) = make_loader(examples.take([int(row)]), workbench.tokenizer, 1)
        on_device = to_device(batch, workbench.backbone.device)
        operations.append(flops(partial(step, on_device)))
    per_row = np.polyfit(list(rows), operations, len(rows) - 1)
    batches = BucketedBatches(examples.lengths, batch_size, seed)
    padded = [int(examples.lengths[batch].max()) for batch in batches for _ in batch]
    return float(np.polyval(per_row, padded).sum())


def longest_prompt(workbench: Workbench, layers: PromptLayers) -> int:
    """Return P of the longest prompt that stands before the tokens, or among them."""
    prompt = workbench.spec.prompt
    return prompt.length if prompt.place == "template" else max(layers.prompt_lengths(prompt))


class RowFlops(NamedTuple):
    """Hold the FLOPs of all rows of a split in a pass, and those of a row as long as the longest."""

    every: float
    longest: float


def _rows(
    workbench: Workbench,
    model: PromptedModel,
    split: str,
    batch_size: int,
    step: Step,
    length: int,
) -> RowFlops:
    """Estimate a pass over a split: the FLOPs of the longest batch a token, times all tokens.

    Prompts, of `length` vectors, count as tokens. A long text costs more a token than a short one, so this is
    not too little.
    """
    model.to(chosen_device())
    loader = make_loader(workbench.examples[split], workbench.tokenizer, batch_size, workbench.seed)
    batches = list(loader)
    tokens = [batch["input_ids"].shape[0] * (batch["input_ids"].shape[1] + length) for batch in batches]
    longest = max(range(len(batches)), key=lambda index: batches[index]["input_ids"].shape[1])
    batch = to_device(batches[longest], model.backbone.device)
    a_token = MARGIN * flops(lambda: step(batch)) / tokens[longest]
    return RowFlops(a_token * sum(tokens), a_token * (batch["input_ids"].shape[1] + length))
