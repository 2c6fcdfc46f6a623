"""From a set of layers to a model that shares one frozen backbone with all others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.model import PromptedModel
from spt.prompts.choices import InsertPrompt, Propagate
from spt.prompts.config import PromptConfig
from spt.prompts.generators import new_generator


@dataclass(frozen=True)
class ModelFactory:
    """Makes models over one backbone, with fresh generators and a fresh head each time.

    Attributes:
        backbone: shared by all models made here, never copied.
        prompt: the shape of every new prompt.
        make_head: gives a freshly initialised head.
        seed: of the initial weights; a layer's generator starts the same in every model that has it.
    """

    backbone: Backbone
    prompt: PromptConfig
    make_head: Callable[[], nn.Module]
    seed: int

    def insert(self, layer: int) -> InsertPrompt:
        """The choice that puts a new prompt at `layer`."""
        return InsertPrompt(
            new_generator(self.backbone.hidden_size, self.prompt, seed=self.seed * 10_007 + layer)
        )

    def head(self) -> nn.Module:
        """A fresh head."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.make_head()

    def model(self, architecture: PromptLayers) -> PromptedModel:
        """The discrete model of `architecture`, freshly initialised."""
        chosen = set(architecture.layers)
        choices = [
            self.insert(layer) if layer in chosen else Propagate() for layer in range(architecture.total)
        ]
        return PromptedModel(self.backbone, choices, self.head())
