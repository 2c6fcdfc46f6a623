"""The shape of a prompt and of what generates it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PromptConfig(BaseModel):
    """How each new prompt is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    generator: Literal["pooled", "naive", "free"] = Field(
        "pooled", description="pooled: from all tokens; naive: from the first token; free: learned vectors."
    )
    length: int = Field(10, ge=1, le=512, description="P, prompt vectors per chosen layer.")
    bottleneck: int = Field(64, ge=1, description="R, width inside a generator.")
    phm_order: int = Field(4, ge=1, description="n of the PHM projections; 1 means dense projections.")
    pooler: Literal["average", "max", "first", "attention"] = Field(
        "average", description="How the pooled generator goes from T tokens to P positions."
    )
    activation: Literal["relu", "gelu", "tanh"] = Field("relu", description="Between the two projections.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Inside the generator, while training.")
    init_std: float = Field(
        0.5, gt=0, description="Standard deviation of a free prompt's start and of the generator's bias."
    )
