"""The shape of a prompt and of what generates it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from spt.sections import ConfigSection, as_written

# what every version has written, all together
WRITTEN_TOGETHER = {"generator", "length", "bottleneck", "phm_order", "pooler", "activation", "dropout"}


MAX_LENGTH = 512


class PromptConfig(ConfigSection):
    """Say how each new prompt is made."""

    generator: Literal["pooled", "naive", "free", "scaling"] = Field(
        "pooled",
        description="pooled: from all tokens; naive: from the first token; free: learned vectors; scaling: "
        "no prompt, but one factor a hidden unit, made from all tokens, for the states of them all.",
    )
    length: int = Field(10, ge=1, le=MAX_LENGTH, description="P, prompt vectors per chosen layer.")
    bottleneck: int = Field(64, ge=1, le=2**16, description="R, width inside a generator.")
    phm_order: int = Field(
        4, ge=1, le=256, description="n of the PHM projections; 1 means dense projections."
    )
    pooler: Literal["average", "max", "first", "attention"] = Field(
        "average", description="How the pooled generator goes from T tokens to P positions."
    )
    activation: Literal["relu", "gelu", "tanh"] = Field("relu", description="Between the two projections.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Inside the generator, while training.")
    init_std: float = Field(
        0.5, gt=0, description="Standard deviation of a free prompt's start and of the generator's bias."
    )
    init: Literal["random", "vocabulary", "labels"] = Field(
        "random",
        description="Start of a free prompt: random, sampled frequent words, or the label words.",
    )
    combine: Literal["replace", "add"] = Field(
        "replace", description="What a new prompt does with the one from below: take its place, or join it."
    )
    position_bias: bool = Field(True, description="A learned [P, H] bias on what a generator gives.")
    zero_start: bool = Field(
        True,
        description="Start a generator at its position bias: what it makes of the instance begins at zero.",
    )
    token_offset: bool = Field(
        True,
        description="Shift the tokens of a chosen layer too, each by what the generator's first projection "
        "and a second one of their own, which starts at zero, make of it; false for free and scaling.",
    )
    place: Literal["front", "template"] = Field(
        "front",
        description="Before the tokens, or at the {prompt} places of the task's template (input only).",
    )
    shared: bool = Field(
        False,
        description="One generator for all layers; a position bias stays each layer's own (as in IDPG).",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_generated_prompts_no_offset(cls, options: Any) -> Any:
        if isinstance(options, Mapping) and options.get("generator") in ("free", "scaling"):
            return {"token_offset": False, **options}
        return options

    @model_validator(mode="after")
    def _consistent(self) -> PromptConfig:
        free = self.generator == "free"
        if self.init != "random" and (not free or self.place == "template"):
            raise ValueError(
                f"init is {self.init}, but only a free prompt in front starts so; set generator to free and "
                "place to front, or init to random"
            )
        if self.place == "template" and (self.generator, self.combine) != ("free", "replace"):
            raise ValueError(
                f"place is template, but generator is {self.generator} and combine {self.combine}; "
                "vectors among the words are free: set generator to free, and combine to replace"
            )
        if self.generator == "scaling":
            self._check_scaling()
        if free and (self.shared or self.token_offset or not self.position_bias):
            option = "shared: true" if self.shared else "position_bias: false"
            option = "token_offset: true" if self.token_offset else option
            raise ValueError(f"{option} is for generators, but generator is free; remove it")
        if self.zero_start and not self.position_bias:
            raise ValueError(
                "position_bias is false, but zero_start is true, which starts a generator at that bias; set "
                "zero_start to false, or position_bias to true"
            )
        return self

    def _check_scaling(self) -> None:
        """Refuse options of prompts where there is none."""
        given = {
            "combine: add": self.combine == "add",
            "shared: true": self.shared,
            "token_offset: true": self.token_offset,
            "position_bias: false": not self.position_bias,
        }
        if wrong := [option for option, is_given in given.items() if is_given]:
            raise ValueError(
                f"{', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} for prompts, but generator is "
                "scaling, which makes none; remove it, or choose another generator"
            )


def prompt_as_written(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do what `as_written` does: earlier versions had neither a zero start nor an offset of tokens."""
    return as_written(options, WRITTEN_TOGETHER, {"zero_start": False, "token_offset": False})
