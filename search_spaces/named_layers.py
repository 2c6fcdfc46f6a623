"""Layers by name: the choices people make by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeGuard

from spt.architecture import PromptLayers
from spt.errors import InputError

NAME = re.compile(r"input|all|middle|every_[1-9]\d*")


def named_layers(layers: Iterable[int] | Mapping[int, str] | str, total: int) -> PromptLayers:
    """Return numbered layers as they are, or those of a name.

    Args:
        layers: 0-based numbers; layer -> kind, as {2: generated_offset, 4: free}; 'input' (layer 0, as in
            Prompt Tuning), 'all' (as in P-tuning v2), 'middle' (layer L // 2, as in Late Prompt Tuning),
            'every_n' (layers 0, n, 2n ...); or the path of another run's architecture.json, whose layers go
            to the same relative depths with their kinds.
        total: L.

    Raises:
        InputError: for an unknown name or kind, a layer that the backbone does not have, or a file
            without layers.
    """
    if not isinstance(layers, str):
        return PromptLayers.of(layers, total)
    if is_layers_file(layers):
        return PromptLayers.load(Path(layers)).scaled(total)
    if not NAME.fullmatch(layers):
        raise InputError(unknown_name(layers))
    if layers.startswith("every_"):
        return PromptLayers.of(range(0, total, int(layers.removeprefix("every_"))), total)
    return PromptLayers.of({"input": [0], "all": range(total), "middle": [total // 2]}[layers], total)


def is_layers_file(layers: object) -> TypeGuard[str]:
    """Say whether layers are given as the path of a run's architecture.json."""
    return isinstance(layers, str) and layers.endswith(".json")


def unknown_name(name: str) -> str:
    """Say what is wrong with a name of layers."""
    return (
        f"'{name}' names no layers: give numbers as [2, 4], or input, all, middle, every_2 (or _n), "
        "or the path of an architecture.json"
    )
