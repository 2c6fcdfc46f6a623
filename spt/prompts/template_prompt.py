"""Learned vectors among the words of a template."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spt.prompts.config import PromptConfig
from spt.prompts.generators import PromptSource, random_vectors


class TemplatePrompt(PromptSource):
    """Add a learned vector to each place that the template keeps for one.

    A padding token that the mask calls real keeps a place: texts cannot bring one. What it embeds to says
    where the place is; the vector starts at random, the same number of places in every row.

    Args:
        hidden_size: H.
        config: says P, the number of places.
        seed: of the initial vectors.
        place_id: the token that keeps a place.

    Source: WARP (arXiv 2101.00121) for vectors around the text and the mask; learning them as offsets from
    what a padding token embeds to is ours, and gives the same vectors.
    """

    def __init__(self, hidden_size: int, config: PromptConfig, seed: int, place_id: int) -> None:
        super().__init__()
        self.place_id = place_id
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.vectors = random_vectors(hidden_size, config)

    @property
    def free_vectors(self) -> nn.Parameter:
        """Return the vectors at the places, [P, H]."""
        return self.vectors

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return what layer 0 reads, [B, T, H], with vectors added at the P places of each row."""
        places = (batch["input_ids"] == self.place_id) & batch["attention_mask"].bool()
        number = (places.cumsum(1) - 1).clamp(0, len(self.vectors) - 1)
        return torch.where(places[..., None], hidden + self.vectors[number], hidden)
