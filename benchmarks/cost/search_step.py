"""What an average search step with every layer a candidate costs, beside the methods of `contenders`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from benchmarks.cost.contenders import (
    Contender,
    Maker,
    Shape,
    contenders,
    descend,
    factory_of,
    random_backbone,
)
from search_spaces.budget import Budget
from search_spaces.prompt_layers import PromptLayerSpace
from spt.model import PromptedModel
from strategies.consistency import DISTANCES, consistent_loss, pruned_slots
from strategies.hyper_network import slots
from strategies.options import SptDartsOptions
from strategies.spt_darts import SptDarts

CYCLE = 4
# name -> weight steps for a gate step
SEARCHES = {"search_step": SptDartsOptions().gate_every, "search_step_gates_every_step": 1}


def contenders_and_searches(shape: Shape, device: torch.device) -> dict[str, Maker]:
    """Return what makes each method, and each search step on a backbone of the searches' own."""
    rows = shape.rows(device)
    backbone = cache(lambda: random_backbone(shape, device))
    searches = {
        name: partial(search, name, every, shape, backbone, rows, device) for name, every in SEARCHES.items()
    }
    return {**contenders(shape, device), **searches}


def search(
    name: str,
    gate_every: int,
    shape: Shape,
    backbone: Callable[[], Any],
    rows: Mapping[str, Any],
    device: torch.device,
) -> Contender:
    """Make an average search step with every layer a candidate, at SPT-DARTS's defaults.

    The clean and the pruned pass of a weight step, and a gate step every `gate_every` weight steps; masks
    are drawn anew. A measured step is a cycle of `CYCLE` of them, so that masks average out.
    """
    options = SptDartsOptions(gate_every=gate_every)
    space = PromptLayerSpace(factory_of(shape, backbone()), Budget(shape.layers, 2))
    model: PromptedModel = SptDarts(options).mutate_model(space).to(device)
    gates = [p for name, p in model.named_parameters() if name.endswith("alpha")]
    others = [p for p in model.parameters() if p.requires_grad and all(p is not gate for gate in gates)]
    gate_optimizer, optimizer = AdamW(gates, lr=1e-3), AdamW(others, lr=1e-3, fused=True)
    generator, cross_entropy = torch.Generator().manual_seed(0), nn.CrossEntropyLoss()

    def gate_step() -> None:
        _toggle(others, False)
        descend(gate_optimizer, cross_entropy(model(rows).logits, rows["labels"]))
        _toggle(others, True)

    def weight_step() -> None:
        _toggle(gates, False)
        mask = pruned_slots(slots(model), options.mask_probability, generator)
        batch: Any = rows
        loss = consistent_loss(model, batch, cross_entropy, options.consistency, DISTANCES["mse"], mask)
        descend(optimizer, loss)
        _toggle(gates, True)

    def cycle() -> None:
        for step in range(CYCLE):
            if step % options.gate_every == 0:
                gate_step()
            weight_step()

    return Contender(name, cycle, list(model.parameters()))


def _toggle(parameters: list[nn.Parameter], trains: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(trains)
