"""The options of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from spt.data.values import class_name
from spt.errors import InputError
from spt.process.modes import Precision
from spt.sections import ConfigSection, as_written
from spt.spec import HeadConfig
from spt.tasks import Task

# what every version has written, all together
WRITTEN_TOGETHER = {
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "warmup",
    "gradient_clip",
    "patience",
}
# of a contrastive step, whose pairs grow with the square of it
CONTRASTIVE_ROWS = 24

MOST_WEIGHT = 10**6
ClassWeights = Literal["balanced"] | Mapping[str, float] | None


class TrainingConfig(ConfigSection):
    """Say how prompts and head are trained."""

    epochs: int = Field(10, ge=1, le=10**6, description="Passes over the training split.")
    batch_size: int = Field(32, ge=1, le=10**6, description="Examples a step.")
    eval_batch_size: int = Field(
        64, ge=1, le=10**6, description="Examples a batch in evaluation and prediction."
    )
    learning_rate: float = Field(
        0.01, gt=0, description="Peak rate of AdamW for the head, and for all that has no rate of its own."
    )
    prompt_rate: float | None = Field(
        0.05,
        gt=0,
        description="Peak rate for free prompts and generators' position biases; null for learning_rate.",
    )
    generator_rate: float | None = Field(
        0.003, gt=0, description="Peak rate for the rest of the generators; null for learning_rate."
    )
    contrastive_steps: int = Field(
        0,
        ge=0,
        le=10**6,
        description="Steps, of up to 24 rows each, that draw the features of a class together, for few "
        "rows: in place of epochs, with the head fitted to the features at the end. Searches of one "
        "hyper-network leave them out.",
    )
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    warmup: float = Field(
        0.06, ge=0, lt=1, description="Share of the steps with a rising rate; linear decay after."
    )
    gradient_clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    patience: int = Field(
        5, ge=1, le=10**6, description="Epochs without a better dev score before training stops."
    )
    class_weights: ClassWeights = Field(
        None,
        description="Weights of the classes in the loss of trainings and searches: balanced (rare classes "
        "weigh more), or a weight by class, 1 for those left out. None: every row weighs the same.",
    )
    precision: Precision = Field("32", description="bf16 autocasts the forward pass.")
    checkpointing: bool = Field(
        False, description="Run layers twice instead of keeping their activations: less memory, more time."
    )
    compile: bool = Field(
        False,
        description="torch.compile the layers above the first prompt, but not in searches or contrastive "
        "steps.",
    )

    @property
    def named_rates(self) -> str:
        """Name the learning rates and their values, for messages."""
        others = {"prompt_rate": self.prompt_rate, "generator_rate": self.generator_rate}
        named = {"learning_rate": self.learning_rate, **{k: v for k, v in others.items() if v is not None}}
        return ", ".join(f"training.{name} (now {value})" for name, value in named.items())

    @field_validator("class_weights", mode="before")
    @classmethod
    def _weights_by_class(cls, value: Any) -> Any:
        if value is None or value == "balanced":
            return value
        if not isinstance(value, Mapping) or not value:
            raise ValueError("must be balanced, a mapping of classes to weights, or null")
        wrong = {name: weight for name, weight in value.items() if not _is_weight(weight)}
        if wrong:
            shown = ", ".join(f"{name}: {weight!r}" for name, weight in wrong.items())
            raise ValueError(
                f"a weight must be a number above 0, at most {MOST_WEIGHT}, but there is {shown}"
            )
        # YAML reads a class that is called 1 as a number, and 1.0 is the label of the same class
        return {class_name(name): float(weight) for name, weight in value.items()}


def _is_weight(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 < value <= MOST_WEIGHT


def check_contrast(config: TrainingConfig, head: HeadConfig, task: Task) -> None:
    """Refuse contrastive steps where no head could be fitted after them, or rows have no one class.

    Raises:
        InputError: naming what fits.
    """
    if not config.contrastive_steps:
        return
    if not head.trains:
        raise InputError(
            f"training.contrastive_steps is {config.contrastive_steps}, after which the head is "
            f"fitted, but nothing in a head of kind {head.kind} trains. Set head.kind to classification or "
            "label_vectors, or contrastive_steps to 0."
        )
    if task.multi_label:
        raise InputError(
            f"training.contrastive_steps is {config.contrastive_steps}, which compares rows of one class "
            f"each, but task '{task.name}' has multi_label. Set contrastive_steps to 0."
        )


def training_as_written(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do what `as_written` does: earlier versions had one rate for all."""
    return as_written(options, WRITTEN_TOGETHER, {"prompt_rate": None, "generator_rate": None})
