"""All that is needed to build a prompted model again, weights aside."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from transformers import AutoTokenizer

from spt.assets import backbone_path
from spt.backbones.base import Backbone
from spt.backbones.registry import load_backbone
from spt.data import label_word_ids
from spt.errors import InputError
from spt.factory import ModelFactory
from spt.heads import ClassificationHead, VerbalizerHead
from spt.prompts.config import PromptConfig
from spt.tasks import Task


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

    kind: Literal["classification", "verbalizer"] = Field(
        "classification",
        description="classification trains a linear layer; verbalizer reads the frozen language-model head.",
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
        """Whether the head is the language model's own."""
        return self.head.kind == "verbalizer"

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

        def new_head() -> nn.Module:
            if not self.verbalizes:
                return ClassificationHead(backbone.hidden_size, self.classes, self.head.reduction)
            if self.task.label_words is None:
                raise InputError(
                    f"The verbalizer head needs a label word for each class, but the task "
                    f"'{self.task.name}' has none. Set task.label_words, or use head.kind=classification."
                )
            words = label_word_ids(tokenizer, self.task.label_words)
            return VerbalizerHead(backbone, words, None if backbone.causal else tokenizer.mask_token_id)

        return ModelFactory(backbone, self.prompt, new_head, seed)
