"""The consistency term: the network should agree with itself when some prompts are pruned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from spt.data.encoded.batches import Batch
from spt.heads import Output
from spt.model import PromptedModel
from strategies.costs import Slot
from strategies.hyper_network import fixed_gates

Distance = Callable[[Output, Output], Tensor]


def mse(clean: Output, pruned: Output) -> Tensor:
    """Return the mean squared difference of the head's input [B, H]. Source: ours."""
    return functional.mse_loss(pruned.features, clean.features)


def kl(clean: Output, pruned: Output) -> Tensor:
    """Return KL(clean || pruned) of the class probabilities [B, C], mean over the batch. Source: ours."""
    return functional.kl_div(
        pruned.logits.log_softmax(-1), clean.logits.log_softmax(-1), log_target=True, reduction="batchmean"
    )


def kl_of_each(clean: Output, pruned: Output) -> Tensor:
    """Return KL(clean || pruned) of yes and no, summed over classes, mean over the batch. Source: ours."""
    return functional.kl_div(
        _yes_and_no(pruned.logits), _yes_and_no(clean.logits), log_target=True, reduction="batchmean"
    )


def _yes_and_no(logits: Tensor) -> Tensor:
    """Return the log-probabilities of each class and of its absence: [B, C] -> [B, C, 2]."""
    return torch.stack([logits, torch.zeros_like(logits)], -1).log_softmax(-1)


# by the names of SptDartsOptions.distance, for one label a text and for several
DISTANCES: dict[str, Distance] = {"mse": mse, "kl": kl}
SET_DISTANCES: dict[str, Distance] = {"mse": mse, "kl": kl_of_each}


def consistent_loss(
    model: PromptedModel,
    batch: Batch,
    loss: nn.Module,
    weight: float,
    distance: Distance,
    mask: Mapping[Slot, float],
) -> Tensor:
    """Add `weight` times the distance to a pass with gates fixed by `mask` to a clean pass's loss.

    Both passes start from one encoding of the layers below the first candidate; weight 0 saves the second.

    Args:
        model: a hyper-network, in training.
        batch: of encoded rows.
        loss: of logits and labels.
        weight: lambda, >= 0.
        distance: between the outputs of the two passes.
        mask: gates of the second pass that are fixed, as a rule at 0.

    Source: SPT (arXiv 2310.20127), consistency regularisation.
    """
    start = model.prefix(batch, batch.get("start"))
    clean = model(batch, start)
    clean_loss: Tensor = loss(clean.logits, batch["labels"])
    if not weight:
        return clean_loss
    with fixed_gates(model, mask):
        return clean_loss + weight * distance(clean, model(batch, start))


def pruned_slots(slots: Sequence[Slot], probability: float, generator: torch.Generator) -> dict[Slot, float]:
    """Draw the gates to set to 0: each with `probability`, but never all of them.

    Source: the paper prunes random prompts; the distribution is ours.
    """
    drop = torch.rand(len(slots), generator=generator) < probability
    if drop.all():
        drop[torch.randint(len(slots), (1,), generator=generator)] = False
    return {slot: 0.0 for slot, dropped in zip(slots, drop.tolist(), strict=True) if dropped}
