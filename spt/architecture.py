"""Which layers get something new, and what: the thing a search finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic import ValidationError as _ValidationError

from spt.errors import InputError
from spt.prompts.config import PromptConfig
from spt.prompts.kinds import INSERT, Kind, prompt_of
from spt.sections import problems_of
from spt.storage.files import expanded, write_text
from spt.storage.json_files import checked, read_json

# several times what the deepest models have
MAX_LAYERS = 1000


Layers = tuple[int, ...]
# one a layer of the same place; none where every layer gets what the section `prompt` says
Kinds = tuple[str, ...]


def layers_name(layers: Iterable[int], kinds: Sequence[str] = ()) -> str:
    """Write layers as the name of a folder: 1+4, or 1_free+4_generated_20."""
    named = _by_layer(layers, kinds).items()
    return "+".join(str(layer) if kind == INSERT else f"{layer}_{kind}" for layer, kind in named)


def layers_text(layers: Iterable[int], kinds: Sequence[str] = (), separator: str = ", ") -> str:
    """Write layers for people: '1, 4', or '1 (free), 4 (generated, 20 vectors)'; 'none' for none."""
    titles = {layer: Kind.read(kind).title for layer, kind in _by_layer(layers, kinds).items()}
    texts = [f"{layer} ({title})" if title else str(layer) for layer, title in titles.items()]
    return separator.join(texts) or "none"


def _by_layer(layers: Iterable[int], kinds: Sequence[str]) -> dict[int, str]:
    """Return the kind of each layer."""
    numbers = tuple(layers)
    return dict(zip(numbers, kinds or (INSERT,) * len(numbers), strict=True))


class PromptLayers(BaseModel):
    """Name the layers (0-based, sorted, each once) out of `total` that get something new; hashable.

    Attributes:
        layers: that were chosen.
        total: L.
        kinds: what each of them gets, by a name of spt.prompts.kinds; none where all get what the section
            `prompt` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Layers
    total: int = Field(le=MAX_LAYERS)
    kinds: Kinds = ()

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: Kinds) -> Kinds:
        for kind in kinds:
            try:
                Kind.read(kind)
            except InputError as error:
                raise ValueError(str(error).removesuffix(".")) from error
        return kinds

    @field_validator("layers")
    @classmethod
    def _each_once(cls, layers: Layers) -> Layers:
        if len(set(layers)) != len(layers):
            raise ValueError(f"layers {list(layers)} name a layer twice")
        return layers

    @model_validator(mode="after")
    def _inside_and_sorted(self) -> PromptLayers:
        outside = [layer for layer in self.layers if not 0 <= layer < self.total]
        if outside:
            raise ValueError(f"layers {outside} are not among 0 to {self.total - 1}, the backbone's layers")
        if self.kinds and len(self.kinds) != len(self.layers):
            raise ValueError(f"there are {len(self.layers)} layers, but kinds of {len(self.kinds)}")
        kinds = sorted(_by_layer(self.layers, self.kinds).items())
        # frozen for everyone else
        object.__setattr__(self, "layers", tuple(layer for layer, _ in kinds))
        plain = all(kind == INSERT for _, kind in kinds)
        object.__setattr__(self, "kinds", () if plain else tuple(kind for _, kind in kinds))
        return self

    @model_serializer(mode="wrap")
    def _without_empty_kinds(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what earlier versions read where there are no kinds."""
        fields: dict[str, Any] = serialize(self)
        return fields if self.kinds else {name: value for name, value in fields.items() if name != "kinds"}

    @classmethod
    def of(
        cls, layers: Iterable[int] | Mapping[int, str], total: int, kinds: Iterable[str] = ()
    ) -> PromptLayers:
        """Make checked prompt layers.

        Args:
            layers: numbers; or layer -> kind.
            total: L.
            kinds: what each layer gets, in the order of the numbers; none for what the section `prompt` says.

        Raises:
            InputError: for a layer outside 0 to total - 1, or named twice, or an unknown kind.
        """
        named = tuple(layers.values()) if isinstance(layers, Mapping) else tuple(kinds)
        try:
            return cls(layers=tuple(layers), total=total, kinds=named)
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
        return PromptLayers.of(placed, total, self.kinds)

    def save(self, path: Path) -> None:
        """Write the layers as JSON."""
        write_text(expanded(path), self.model_dump_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> PromptLayers:
        """Read what `save` wrote.

        Raises:
            InputError: if the file is missing, something else, or damaged.
        """
        advice = "Name a run's architecture.json; a run searches again where its own is deleted."
        return checked(cls, read_json(expanded(path), advice), f"'{path}'", advice)

    @property
    def by_layer(self) -> dict[int, str]:
        """Return the kind of each layer; 'insert' is what the section `prompt` says."""
        return _by_layer(self.layers, self.kinds)

    def prompts(self, prompt: PromptConfig) -> dict[int, PromptConfig]:
        """Return for each layer how what it gets is made, where `prompt` is the section of that name.

        Raises:
            InputError: if a kind does not fit the section.
        """
        return {layer: prompt_of(kind, prompt) for layer, kind in self.by_layer.items()}

    def prompt_lengths(self, prompt: PromptConfig) -> tuple[int, ...]:
        """Return P of the prompt that enters each of the `total` layers with the tokens; 0 for none."""
        made, lengths = self.prompts(prompt), [0]
        for layer in range(self.total):
            lengths.append(_length_after(lengths[-1], made.get(layer)))
        return tuple(lengths[1:])

    @property
    def name(self) -> str:
        """Return the layers as `layers_name` writes them."""
        return layers_name(self.layers, self.kinds)

    @property
    def text(self) -> str:
        """Return the layers as `layers_text` writes them."""
        return layers_text(self.layers, self.kinds)

    def __str__(self) -> str:
        return f"[{layers_text(self.layers, self.kinds) if self.layers else ''}] of {self.total}"


def _length_after(below: int, made: PromptConfig | None) -> int:
    """Return P above a layer, of what came from below and what the layer got."""
    if made is None or made.generator == "scaling":
        return below
    return max(below, made.length) if made.combine == "add" else made.length
