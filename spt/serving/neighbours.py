"""Reading a prompt: the words whose vectors point most nearly the same way, and those of random vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from spt.data.encoded.batches import make_loader, to_device
from spt.data.encoded.encoding import encode_texts
from spt.data.values import is_missing
from spt.errors import InputError
from spt.prompts.choices import InsertPrompt
from spt.prompts.generators import FreePrompt
from spt.prompts.state import PromptState
from spt.prompts.template_prompt import TemplatePrompt
from spt.serving.classifier import PromptClassifier

# random prompts are drawn alike, from the seeds of runs: a control must not be where they started
CONTROLS = 10**6
# words of each vector, where nobody asks for more or fewer
NEAREST = 5


@dataclass(frozen=True)
class Neighbour:
    """Hold a word of the vocabulary and the cosine of its vector with a prompt vector, in [-1, 1]."""

    word: str
    cosine: float


@dataclass(frozen=True)
class Reading:
    """Hold what one prompt vector says.

    Attributes:
        layer: that the prompt enters, from 0.
        position: of the vector in the prompt, from 0.
        words: nearest words, the nearest first.
        control: those of a random vector of the same norm: what chance alone would let one read.
    """

    layer: int
    position: int
    words: tuple[Neighbour, ...]
    control: tuple[Neighbour, ...]


def read_prompts(
    classifier: PromptClassifier,
    text: str | None = None,
    pair: str | None = None,
    count: int = NEAREST,
    seed: int = 0,
) -> list[Reading]:
    """Find the nearest words of every prompt vector, by the cosine with what layer 0 sees of each word alone.

    Vectors of a prompt above layer 0 stand among hidden states, not words: read them with more doubt still.

    Args:
        classifier: the trained prompts.
        text: read the prompts that enter the layers for this text; None reads free prompts only.
        pair: the second text, where the task has pairs.
        count: words a vector, >= 1.
        seed: of the random vectors.

    Raises:
        InputError: if there is nothing to read without a text, the text is empty or does not fit the task, a
            second one has no first, or the count is below 1.

    Source: Prompt Tuning (arXiv 2104.08691, section 7) for the reading; the control is ours.
    """
    if count < 1:
        raise InputError(f"The count of words a vector is {count}, but must be 1 or more.")
    for name, given in (("text", text), ("pair", pair)):
        if given is not None and is_missing(given):
            raise InputError(f"{name} is empty. Give a text, or leave {name} out.")
    if pair is not None and text is None:
        raise InputError("pair is given, but no text. Give the first text as text, or leave pair out.")
    if text is None and needs_text(classifier):
        raise InputError("These prompts are generated from the text. Give a text to read those for it.")
    prompts = _free(classifier) if text is None else _for_text(classifier, text, pair)
    if not prompts:
        raise InputError("No layer has a prompt, so there are no vectors to read.")
    return _readings(classifier, prompts, count, seed)


def needs_text(classifier: PromptClassifier) -> bool:
    """Say whether the prompts can only be read for a text, as all of them are generated from it."""
    has_prompt = any(isinstance(each, InsertPrompt) for each in classifier.model.choices)
    return has_prompt and not _free(classifier)


def read_input(classifier: PromptClassifier) -> list[Reading]:
    """Read a free prompt at the input, as `read_prompts` does; nothing where there is none."""
    prompts = {layer: vectors for layer, vectors in _free(classifier).items() if layer == 0}
    return _readings(classifier, prompts, NEAREST, seed=0) if prompts else []


@dataclass(frozen=True)
class _Words:
    """Hold names and unit vectors [V, H] of the vocabulary, special tokens left out."""

    names: list[str]
    vectors: Tensor

    def nearest(self, vectors: Tensor, count: int) -> list[tuple[Neighbour, ...]]:
        """Find for each of [P, H] its nearest words."""
        cosines, nearest = (normalize(vectors, dim=-1) @ self.vectors.T).topk(min(count, len(self.names)))
        return [
            tuple(Neighbour(self.names[i], round(c, 4)) for i, c in zip(row, cosine, strict=True))
            for row, cosine in zip(nearest.tolist(), cosines.tolist(), strict=True)
        ]


def _vocabulary(classifier: PromptClassifier) -> _Words:
    tokenizer, backbone = classifier.tokenizer, classifier.model.backbone
    special = set(tokenizer.all_special_ids)
    ids = [i for i in range(len(tokenizer)) if i not in special]
    vectors = backbone.word_vectors(torch.tensor(ids)).float()
    return _Words([str(token) for token in tokenizer.convert_ids_to_tokens(ids)], normalize(vectors, dim=-1))


def _readings(
    classifier: PromptClassifier, prompts: Mapping[int, Tensor], count: int, seed: int
) -> list[Reading]:
    words = _vocabulary(classifier)
    generator = torch.Generator().manual_seed(CONTROLS + seed)
    read = (_read(layer, vectors, words, count, generator) for layer, vectors in prompts.items())
    return list(chain.from_iterable(read))


def _read(
    layer: int, vectors: Tensor, words: _Words, count: int, generator: torch.Generator
) -> Iterator[Reading]:
    # a cosine does not see the norm
    random = torch.randn(vectors.shape, generator=generator)
    both = zip(words.nearest(vectors, count), words.nearest(random, count), strict=True)
    for position, (near, control) in enumerate(both):
        yield Reading(layer, position, near, control)


def _free(classifier: PromptClassifier) -> dict[int, Tensor]:
    """Return the learned vectors [P, H] of each layer that has some."""
    model = classifier.model
    if isinstance(model.template_prompt, TemplatePrompt):
        places = model.backbone.word_vectors(torch.tensor([model.template_prompt.place_id]))
        return {0: model.template_prompt.vectors.detach().cpu().float() + places}
    return {
        layer: choice.generator.vectors.detach().cpu().float()
        for layer, choice in enumerate(model.choices)
        if isinstance(choice, InsertPrompt) and isinstance(choice.generator, FreePrompt)
    }


@torch.inference_mode()
def _for_text(classifier: PromptClassifier, text: str, pair: str | None) -> dict[int, Tensor]:
    """Return the prompt [P, H] that enters each layer with a new one, for one text."""
    model, pairs = classifier.model, None if pair is None else [pair]
    # of a longer text its beginning alone, for one prompt a layer is read
    spec = classifier.spec.model_copy(update={"windows": None})
    examples = encode_texts([text], pairs, classifier.tokenizer, spec)
    prompts: dict[int, Tensor] = {}

    def keep(layer: int, module: Any, inputs: Any, prompt: PromptState) -> None:  # noqa: ARG001
        prompts[layer] = prompt.present()[0].cpu().float()

    inserts = {
        layer: choice for layer, choice in enumerate(model.choices) if isinstance(choice, InsertPrompt)
    }
    hooks = [insert.register_forward_hook(partial(keep, layer)) for layer, insert in inserts.items()]
    try:
        (batch,) = make_loader(examples, classifier.tokenizer, batch_size=1)
        model.eval()(to_device(batch, model.backbone.device))
    finally:
        for hook in hooks:
            hook.remove()
    return prompts or _free(classifier)
