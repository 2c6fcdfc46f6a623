"""All that is needed to build a prompted model again, weights aside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import AutoTokenizer

from spt.assets import backbone_path
from spt.backbones.base import Backbone
from spt.backbones.registry import load_backbone
from spt.backbones.t5 import T5Backbone
from spt.data import label_sequences, label_word_ids
from spt.errors import InputError
from spt.factory import ModelFactory
from spt.heads import ClassificationHead, LabelVectorsHead, TextToTextHead, VerbalizerHead
from spt.prompts.config import PromptConfig
from spt.prompts.initialisers import INITIALISERS
from spt.tasks import PROMPT, Task


class BackboneConfig(BaseModel):
    """Which frozen model, and how it is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        "minilm-l6",
        description="An embedded backbone (minilm-l6, splade-tiny), a local folder, or a hub name.",
    )
    revision: str | None = Field(None, description="Commit or tag of a hub model.")
    attention: Literal["sdpa", "eager"] = Field("sdpa", description="Attention kernel of the layers.")


class HeadConfig(BaseModel):
    """How classes are read off the last hidden states."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["classification", "verbalizer", "label_vectors", "text_to_text"] = Field(
        "classification",
        description="classification trains a linear layer; verbalizer reads the frozen language-model head, "
        "with label_vectors one trained vector a class; text_to_text scores the label words by a decoder.",
    )
    reduction: Literal["mean", "first", "last"] = Field(
        "mean", description="Which real tokens the classification head reads."
    )


class ModelSpec(BaseModel):
    """Backbone, head, prompt shape and task of a prompted model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: BackboneConfig
    head: HeadConfig
    prompt: PromptConfig
    task: Task
    max_length: int

    @property
    def classes(self) -> int:
        """C.

        Raises:
            InputError: if the task's labels have not been resolved from data yet.
        """
        if self.task.labels is None:
            raise InputError(
                f"The task '{self.task.name}' has no labels yet. Load its data, or set task.labels."
            )
        return len(self.task.labels)

    @property
    def verbalizes(self) -> bool:
        """Whether the head is the language model's own, and the input stands in the task's template."""
        return self.head.kind != "classification"

    def load_tokenizer(self) -> Any:
        """The backbone's tokenizer.

        Raises:
            InputError: if the backbone has none that can be read.
        """
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                backbone_path(self.backbone.name), revision=self.backbone.revision
            )
            # Hugging Face makes one of special tokens alone where there are no files
            if len(tokenizer) <= len(tokenizer.all_special_tokens):
                raise ValueError("its vocabulary is empty")
        except (OSError, ValueError) as error:
            raise InputError(
                f"The backbone '{self.backbone.name}' has no tokenizer that can be read "
                f"({str(error).splitlines()[0]}). Save the tokenizer beside its weights, or check the name."
            ) from error
        return tokenizer

    def load_backbone(self) -> Backbone:
        """The frozen backbone, with its language-model head where the head needs it."""
        return load_backbone(
            self.backbone.name,
            language_model=self.verbalizes,
            attention=self.backbone.attention,
            revision=self.backbone.revision,
        )

    def factory(self, backbone: Backbone, tokenizer: Any, seed: int) -> ModelFactory:
        """Models of this spec over a loaded backbone.

        Raises:
            InputError: if data.max_length is more than the backbone reads.
        """
        if self.max_length > backbone.max_length:
            raise InputError(
                f"data.max_length is {self.max_length}, but the backbone '{self.backbone.name}' reads at "
                f"most {backbone.max_length} tokens. Set data.max_length to {backbone.max_length} or less."
            )

        self._check_places(tokenizer)
        return ModelFactory(
            backbone,
            self.prompt,
            partial(self._new_head, backbone, tokenizer),
            seed,
            self._start(backbone, tokenizer),
            tokenizer.pad_token_id,
        )

    def _check_places(self, tokenizer: Any) -> None:
        """Refuse a template that has not one place for each vector of the prompt."""
        places = self.task.template.count(PROMPT)
        among = self.prompt.place == "template"
        if places != (self.prompt.length if among else 0):
            raise InputError(
                f"The template of task '{self.task.name}' has {places} times {PROMPT}, but prompt.place is "
                f"{self.prompt.place} and prompt.length {self.prompt.length}. Put {PROMPT} there once for "
                "each vector with prompt.place=template, and not at all otherwise."
            )
        if among and (not self.verbalizes or tokenizer.mask_token is None):
            raise InputError(
                f"prompt.place is template, but head.kind {self.head.kind} with the tokenizer of "
                f"'{self.backbone.name}' reads no template with a mask. Use a masked language model with "
                "head.kind verbalizer or label_vectors, or set prompt.place to front."
            )

    def _new_head(self, backbone: Backbone, tokenizer: Any) -> nn.Module:
        kind = self.head.kind
        if kind == "classification":
            return ClassificationHead(backbone.hidden_size, self.classes, self.head.reduction)
        if isinstance(backbone, T5Backbone) != (kind == "text_to_text"):
            raise InputError(
                f"head.kind is {kind}, but '{self.backbone.name}' is "
                f"{'an' if backbone.encoder_decoder else 'no'} encoder-decoder. Use text_to_text for those, "
                "verbalizer or label_vectors for other language models, classification for all."
            )
        if self.task.label_words is None:
            raise InputError(
                f"The {kind} head needs a label word for each class, but the task "
                f"'{self.task.name}' has none. Set task.label_words, or use head.kind=classification."
            )
        if isinstance(backbone, T5Backbone):
            return TextToTextHead(backbone, label_sequences(tokenizer, self.task.label_words))
        head = VerbalizerHead if kind == "verbalizer" else LabelVectorsHead
        words = label_word_ids(tokenizer, self.task.label_words)
        return head(backbone, words, None if backbone.causal else tokenizer.mask_token_id)

    def _start(self, backbone: Backbone, tokenizer: Any) -> Callable[[int], Tensor] | None:
        """What gives a free prompt its start, where that is not random."""
        if self.prompt.init == "random":
            return None
        initialiser = INITIALISERS[self.prompt.init]
        labels = self.task.label_words or self.task.labels or ()

        def start(seed: int) -> Tensor:
            generator = torch.Generator().manual_seed(seed)
            return initialiser(backbone, tokenizer, labels, self.prompt.length, generator)

        return start
