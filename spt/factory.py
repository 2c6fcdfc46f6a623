"""From a set of layers to a model that shares one frozen backbone with all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.errors import InputError
from spt.model import PromptedModel
from spt.prompts.among_words import AmongWords
from spt.prompts.choices import InsertPrompt, Propagate
from spt.prompts.config import PromptConfig
from spt.prompts.generators import new_generator

# stands for a layer in the seed of what all layers share
SHARED = 10_006


@dataclass(frozen=True)
class ModelFactory:
    """Makes models over one backbone, with fresh generators and a fresh head each time.

    Attributes:
        backbone: shared by all models made here, never copied.
        prompt: the shape of every new prompt.
        make_head: gives a freshly initialised head.
        seed: of the initial weights; a layer's generator starts the same in every model that has it.
        start: (seed) -> the start [P, H] of a free prompt; None leaves it random.
        place_id: the token that keeps the places of a prompt among the words of the template.
    """

    backbone: Backbone
    prompt: PromptConfig
    make_head: Callable[[], nn.Module]
    seed: int
    start: Callable[[int], Tensor] | None = None
    place_id: int | None = None

    def inserts(self, layers: Iterable[int]) -> dict[int, InsertPrompt]:
        """For each layer the choice that puts a new prompt there; they share a generator where asked to.

        Raises:
            InputError: if the prompt stands among the words, where no layer is chosen.
        """
        if self.prompt.place == "template":
            raise InputError(
                "prompt.place is template, which gives the input a prompt and no other layer. "
                "Set search.strategy to manual and search.manual_layers to [0], or prompt.place to front."
            )
        size, prompt = self.backbone.hidden_size, self.prompt
        shared = None
        if prompt.shared:
            unbiased = prompt.model_copy(update={"position_bias": False})
            shared = new_generator(size, unbiased, self._seed(SHARED))
        generators = {layer: new_generator(size, prompt, self._seed(layer), shared) for layer in layers}
        if self.start is not None:
            for layer, generator in generators.items():
                generator.load_state_dict({"vectors": self.start(self._seed(layer))})
        adds = prompt.combine == "add"
        return {layer: InsertPrompt(generator, adds) for layer, generator in generators.items()}

    def _seed(self, layer: int) -> int:
        return self.seed * 10_007 + layer

    def head(self) -> nn.Module:
        """A fresh head."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.make_head()

    def model(self, architecture: PromptLayers) -> PromptedModel:
        """The discrete model of `architecture`, freshly initialised.

        Raises:
            InputError: as `inserts`, for layers other than the input.
        """
        if self.prompt.place == "template" and architecture.layers == (0,):
            size = self.backbone.hidden_size
            words = AmongWords(size, self.prompt, self._seed(0), cast(int, self.place_id))
            propagate = [Propagate() for _ in range(architecture.total)]
            return PromptedModel(self.backbone, propagate, self.head(), words)
        inserts = self.inserts(architecture.layers)
        choices = [inserts.get(layer, Propagate()) for layer in range(architecture.total)]
        return PromptedModel(self.backbone, choices, self.head())
