"""A prompted model: a frozen backbone, one choice a layer, a head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spt.backbones.base import Backbone
from spt.flops import FlopCounter
from spt.heads import Output
from spt.layer_loop import run_layers
from spt.prompts.choices import Propagate
from spt.prompts.state import PromptState
from spt.start import Start


class PromptedModel(nn.Module):
    """Classify by a frozen backbone whose layers take the prompt from below or a new one.

    Args:
        backbone: frozen, with L layers.
        choices: one module a layer, (prompt, hidden [B, T, H], mask [B, T]) -> prompt.
        head: (hidden [B, T, H], batch, prompt after the last layer) -> Output.
        template_prompt: changes what layer 0 reads, (hidden [B, T, H], batch) -> hidden; None for prompts
            in front.

    Attributes:
        checkpointing: run each layer that is differentiated a second time in the backward pass instead of
            keeping its activations.
    """

    checkpointing = False

    def __init__(
        self,
        backbone: Backbone,
        choices: Sequence[nn.Module],
        head: nn.Module,
        template_prompt: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.choices = nn.ModuleList(choices)
        self.head = head
        self.template_prompt = template_prompt

    @property
    def first_prompt_layer(self) -> int:
        """Return the lowest layer that may get a prompt; L where none does."""
        if self.template_prompt is not None:
            return 0
        layers = [i for i, choice in enumerate(self.choices) if not isinstance(choice, Propagate)]
        return min(layers, default=len(self.choices))

    @torch.no_grad()
    def prefix(self, batch: Mapping[str, Any], start: Start | None = None) -> Start:
        """Run the layers below the first prompt: nothing there depends on what trains.

        Args:
            batch: as `make_loader` gives it.
            start: where to begin, at the first prompt or below it; None begins at the tokens.

        Returns:
            The start of the first prompt's layer, which several passes over the batch may share.

        Raises:
            ValueError: if `start` is above the first prompt.
        """
        if start is None:
            start = Start(0, self.backbone.embed(batch))
        stop = self.first_prompt_layer
        if start.layer > stop:
            raise ValueError(
                f"the pass starts at layer {start.layer}, but the first prompt is at layer {stop}"
            )
        if start.layer == stop:
            return start
        mask = batch["attention_mask"]
        _, hidden = run_layers(
            self.backbone, self.choices, start, mask, padded=not bool(mask.all()), stop=stop
        )
        return Start(stop, hidden)

    def forward(self, batch: Mapping[str, Any], start: Start | None = None) -> Output:
        """Classify a batch.

        Args:
            batch: B rows of T tokens, as `make_loader` gives them.
            start: hidden states to begin with instead of the tokens, at the first prompt or below it.

        Returns:
            Features [B, H] and logits [B, C].
        """
        hidden = self.prefix(batch, start).hidden
        if self.template_prompt is not None:
            hidden = self.template_prompt(hidden, batch)
        mask = batch["attention_mask"]
        prompt, hidden = self.prompted_layers(hidden, mask, padded=not bool(mask.all()))
        output: Output = self.head(self.backbone.finish(hidden), batch, prompt)
        return output

    def prompted_layers(self, hidden: Tensor, mask: Tensor, padded: bool) -> tuple[PromptState, Tensor]:
        """Run the layers from the first prompt on: hidden [B, T, H], mask [B, T] -> prompt, hidden."""
        return run_layers(
            self.backbone,
            self.choices,
            Start(self.first_prompt_layer, hidden),
            mask,
            padded=padded,
            checkpointing=self.checkpointing,
        )

    def compile(self, **options: Any) -> None:
        """Compile the layers from the first prompt on with torch.compile's options, and nothing else.

        A pass whose operations are counted runs as it is.
        """
        plain, compiled = self.prompted_layers, torch.compile(self.prompted_layers, **options)

        def chosen(hidden: Tensor, mask: Tensor, padded: bool) -> tuple[PromptState, Tensor]:
            # torch gives up for good on what it is to compile under a counter
            return (plain if FlopCounter.counting() else compiled)(hidden, mask, padded=padded)

        self.prompted_layers = chosen  # type: ignore[method-assign]


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters that train and are saved: all outside the backbone, and what is thawed in it.

    A backbone is frozen as it is loaded; only methods that tune weights of its own thaw some.
    """
    return ((name, p) for name, p in model.named_parameters() if "backbone." not in name or p.requires_grad)
