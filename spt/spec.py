"""All that is needed to build a prompted model again, weights aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from spt.answers.options import AnswerRule
from spt.errors import InputError
from spt.prompts.config import PromptConfig, prompt_as_written
from spt.sections import ConfigSection
from spt.tasks import Task


class BackboneConfig(ConfigSection):
    """Say which model is frozen, and how it is run."""

    name: str = Field(
        "minilm-l6",
        min_length=1,
        description="minilm-l6, e5-small, splade-tiny, smollm2-135m (embedded), a folder, or a hub name.",
    )
    revision: str | None = Field(None, description="Commit or tag of a hub model.")
    attention: Literal["sdpa", "eager"] = Field("sdpa", description="Attention kernel of the layers.")


class HeadConfig(ConfigSection):
    """Say how classes are read off the last hidden states."""

    kind: Literal["classification", "verbalizer", "label_vectors", "text_to_text"] = Field(
        "classification",
        description="classification trains a linear layer; verbalizer reads the frozen language-model head, "
        "with label_vectors one trained vector a class; text_to_text scores the label words by a decoder.",
    )
    reduction: Literal["mean", "first", "last"] = Field(
        "mean", description="Which real tokens the classification head reads."
    )

    @property
    def trains(self) -> bool:
        """Say whether the head has weights of its own that train."""
        return self.kind in ("classification", "label_vectors")


def check_head(head: HeadConfig, task: Task) -> None:
    """Refuse a head that reads one label word a text for a task of several labels a text.

    Raises:
        InputError: naming the head that fits.
    """
    if task.multi_label and head.kind != "classification":
        raise InputError(
            f"head.kind is {head.kind}, which gives a text one label, but task '{task.name}' has "
            "multi_label. Set head.kind to classification, or task.multi_label to false."
        )


class ModelSpec(ConfigSection):
    """Describe a prompted model: its backbone, head, prompt shape and task, and what its answers are."""

    backbone: BackboneConfig
    head: HeadConfig
    prompt: PromptConfig
    task: Task
    max_length: int = Field(ge=1, le=2**24, description="Tokens of the longest input.")
    windows: int | None = Field(
        None, ge=0, description="Tokens that windows of a longer text share; null cuts it."
    )
    answers: AnswerRule = Field(default_factory=AnswerRule, description="Temperature and threshold.")

    @model_validator(mode="after")
    def _answers_of_the_task(self) -> ModelSpec:
        if problem := self.answers.misfit(self.task):
            raise ValueError(f"answers: {problem}")
        return self

    @property
    def classes(self) -> int:
        """Return C, the number of classes.

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
        """Say whether the head is the language model's own, and the input stands in the task's template."""
        return self.head.kind != "classification"


def spec_as_written(spec: Any) -> Any:
    """Return the nested keys of a spec that a program wrote as it meant them; anything else as it is."""
    if not isinstance(spec, Mapping) or not isinstance(spec.get("prompt"), Mapping):
        return spec
    return {**spec, "prompt": prompt_as_written(spec["prompt"])}
