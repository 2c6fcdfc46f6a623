"""Which layers get a new prompt: the thing a search finds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic import ValidationError as _ValidationError

from spt.errors import InputError
from spt.files import write_text
from spt.json_files import checked, read_json
from spt.sections import problems_of

# several times what the deepest models have
MAX_LAYERS = 1000


def layers_name(layers: Iterable[int]) -> str:
    """Write layers as the name of a folder: 1+4."""
    return "+".join(map(str, layers))


class PromptLayers(BaseModel):
    """Name the layers (0-based, sorted, each once) out of `total` that get a new prompt; hashable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[int, ...]
    total: int = Field(le=MAX_LAYERS)

    @field_validator("layers")
    @classmethod
    def _sorted(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(layers)) != len(layers):
            raise ValueError(f"layers {list(layers)} name a layer twice")
        return tuple(sorted(layers))

    @model_validator(mode="after")
    def _inside(self) -> PromptLayers:
        outside = [layer for layer in self.layers if not 0 <= layer < self.total]
        if outside:
            raise ValueError(f"layers {outside} are not among 0 to {self.total - 1}, the backbone's layers")
        return self

    @classmethod
    def of(cls, layers: Iterable[int], total: int) -> PromptLayers:
        """Make checked prompt layers.

        Raises:
            InputError: for a layer outside 0 to total - 1, or named twice.
        """
        try:
            return cls(layers=tuple(layers), total=total)
        except _ValidationError as error:
            problems = "; ".join(each["msg"] for each in problems_of(error))
            raise InputError(
                f"Prompt layers: {problems}. Name each layer once, from 0 to {total - 1}."
            ) from error

    def scaled(self, total: int) -> PromptLayers:
        """Give as many layers at the same relative depths of a backbone with `total` layers.

        Layer i goes to the layer that holds the middle of i's span of the depth, the lower one at a border:
        round((i + 1/2) / L * total - 1/2). Layers that meet are spread to the next free ones, in order.

        Raises:
            InputError: for more prompt layers than `total`.

        Source: ours.
        """
        if len(self.layers) > total:
            raise InputError(
                f"{self} cannot be given to a backbone of {total} layers. "
                f"Take an architecture with at most {total} prompt layers."
            )
        placed: list[int] = []
        for rank, layer in enumerate(self.layers):
            # whole numbers, as rounding fractions could go either way at a border
            middle = -(-(2 * layer + 1) * total // (2 * self.total)) - 1
            highest = total - len(self.layers) + rank
            placed.append(min(max([middle, *(below + 1 for below in placed[-1:])]), highest))
        return PromptLayers.of(placed, total)

    def save(self, path: Path) -> None:
        """Write the layers as JSON."""
        write_text(path, self.model_dump_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> PromptLayers:
        """Read what `save` wrote.

        Raises:
            InputError: if the file is missing, something else, or damaged.
        """
        advice = "Name a run's architecture.json; a run searches again where its own is deleted."
        return checked(cls, read_json(path, advice), f"'{path}'", advice)

    @property
    def name(self) -> str:
        """Return the layers as `layers_name` writes them."""
        return layers_name(self.layers)

    def __str__(self) -> str:
        return f"{list(self.layers)} of {self.total}"
