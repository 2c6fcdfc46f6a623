"""The options of a training."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from spt.modes import Precision


class TrainingConfig(BaseModel):
    """Say how prompts and head are trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(10, ge=1, description="Passes over the training split.")
    batch_size: int = Field(32, ge=1, le=10**6, description="Examples a step.")
    eval_batch_size: int = Field(
        64, ge=1, le=10**6, description="Examples a batch in evaluation and prediction."
    )
    learning_rate: float = Field(0.01, gt=0, description="Peak rate of AdamW for prompts and head.")
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    warmup: float = Field(
        0.06, ge=0, lt=1, description="Share of the steps with a rising rate; linear decay after."
    )
    gradient_clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    patience: int = Field(5, ge=1, description="Epochs without a better dev score before training stops.")
    precision: Precision = Field("32", description="bf16 autocasts the forward pass.")
    checkpointing: bool = Field(
        False, description="Run layers twice instead of keeping their activations: less memory, more time."
    )
    compile: bool = Field(
        False, description="torch.compile the layers above the first prompt, outside of searches."
    )
