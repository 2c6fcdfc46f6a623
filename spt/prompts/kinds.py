"""Kinds by name: what one layer gets in the place of what the section `prompt` says for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from spt.errors import InputError
from spt.prompts.config import MAX_LENGTH, PromptConfig

# what the section `prompt` says
INSERT = "insert"

Changes = dict[str, Any]


def _free(prompt: PromptConfig) -> Changes:
    start = prompt.init if prompt.generator == "free" else "random"
    return {"generator": "free", "init": start, "token_offset": False, "shared": False, "position_bias": True}


def _generated(prompt: PromptConfig) -> Changes:
    generator = prompt.generator if prompt.generator in ("pooled", "naive") else "pooled"
    return {"generator": generator, "init": "random", "token_offset": False}


def _generated_offset(prompt: PromptConfig) -> Changes:
    return {**_generated(prompt), "token_offset": True}


def _scaling(prompt: PromptConfig) -> Changes:
    return {**_free(prompt), "generator": "scaling", "init": "random"}


# name -> what it changes in the section `prompt`
KINDS: dict[str, Callable[[PromptConfig], Changes]] = {
    INSERT: lambda _: {},
    "free": _free,
    "generated": _generated,
    "generated_offset": _generated_offset,
    "scaling": _scaling,
}
TITLES = {"generated_offset": "generated + offset"}
# those that give a layer no prompt, and so have no length
WITHOUT_LENGTH = ("scaling",)
_NAME = re.compile(rf"({'|'.join(KINDS)})(?:_([1-9]\d{{0,2}}))?")


class Kind(NamedTuple):
    """Hold the parts of a kind's name: one of KINDS, and P where it has one of its own."""

    base: str
    length: int | None

    @classmethod
    def read(cls, name: str) -> Kind:
        """Read a name such as 'free', 'generated_offset' or 'generated_20'.

        Raises:
            InputError: if it names no kind.
        """
        match = _NAME.fullmatch(name)
        kind = cls(match[1], int(match[2]) if match[2] else None) if match else None
        if kind is None or (kind.length or 1) > MAX_LENGTH or (kind.length and kind.base in WITHOUT_LENGTH):
            raise InputError(
                f"'{name}' is no kind of what a layer gets: name one of {', '.join(KINDS)}, and where it "
                f"has a prompt its length, from 1 to {MAX_LENGTH}, if that is its own, as generated_20."
            )
        return kind

    @property
    def title(self) -> str:
        """Write the kind for people: 'generated + offset, 20 vectors'; nothing for 'insert'."""
        named = [] if self.base == INSERT else [TITLES.get(self.base, self.base)]
        counted = [] if self.length is None else [f"{self.length} vector{'s' * (self.length > 1)}"]
        return ", ".join([*named, *counted])


def prompt_of(name: str, prompt: PromptConfig) -> PromptConfig:
    """Return how the prompt of a layer of this kind is made.

    Args:
        name: of the kind, with its length where it has one of its own.
        prompt: what the other options are taken from.

    Raises:
        InputError: if the name is of no kind, or gives a length to what has none.
    """
    kind = Kind.read(name)
    changes = KINDS[kind.base](prompt)
    if kind.length is not None:
        if changes.get("generator", prompt.generator) == "scaling":
            raise InputError(
                f"'{name}' gives a layer {kind.length} vectors, but prompt.generator is scaling, which gives "
                "it no prompt. Name a kind that has one, or set prompt.generator to pooled, naive or free."
            )
        changes["length"] = kind.length
    return prompt.model_copy(update=changes) if changes else prompt
