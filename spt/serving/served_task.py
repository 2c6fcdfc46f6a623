"""What a server runs of a trained prompt."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import chain

from torch import nn

from spt.backbones.base import Backbone
from spt.model import PromptedModel
from spt.serving.classifier import PromptClassifier


@dataclass(frozen=True)
class ServedTask:
    """Hold a task's classifier, and its choices and head over the server's backbone.

    Attributes:
        classifier: as it was given.
        choices: one a layer of the backbone.
        head: reads the last hidden states.
        template_prompt: changes what layer 0 reads; None for prompts in front.
        first_layer: the lowest layer that gets something; L where none does.
        prompt_lengths: P of the prompt that enters each layer with the tokens; 0 without.
    """

    classifier: PromptClassifier
    choices: nn.ModuleList
    head: nn.Module
    template_prompt: nn.Module | None
    first_layer: int
    prompt_lengths: tuple[int, ...]

    @classmethod
    def of(cls, classifier: PromptClassifier, backbone: Backbone) -> ServedTask:
        """Take a classifier's modules in evaluation mode, over a backbone of the same weights, on its device.

        The modules are the server's own, so that no thread changes the mode of another's; their weights are
        the classifier's.
        """
        model = classifier.model
        choices, head, template_prompt = copy.deepcopy(
            (model.choices, model.head, model.template_prompt), _shared(model, backbone)
        )
        for module in (choices, head, template_prompt):
            if module is not None:
                module.eval().to(backbone.device)
        lengths = classifier.architecture.prompt_lengths(classifier.spec.prompt)
        if template_prompt is not None:
            lengths = (0,) * len(lengths)
        return cls(classifier, choices, head, template_prompt, model.first_prompt_layer, lengths)


def _shared(model: PromptedModel, backbone: Backbone) -> dict[int, object]:
    """Return what a copy of a model's modules shares with it, as deepcopy's memo, and the backbone to use."""
    tensors = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return {**tensors, id(model.backbone): backbone}
