"""What the files of a backbone say of it, read without torch: layers and longest input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spt.assets import BACKBONES, backbone_path, fetched_path

# how the families call the number of their layers
LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
# what transformers writes for "no limit"
NO_LIMIT = 10**6


@dataclass(frozen=True)
class BackboneFiles:
    """What is known of a backbone; None for what its files do not say.

    Attributes:
        folder: of its files.
        layers: how many.
        limit: tokens of its longest input.
        complete: whether all files are here, which of a hub's name may be its config alone.
    """

    folder: Path
    layers: int | None
    limit: int | None
    complete: bool


def read_backbone_files(name: str) -> BackboneFiles | None:
    """Read the files of a backbone that is here; None for one that the first run downloads.

    Raises:
        InputError: for a path without a folder, or a misspelt name.
    """
    folder = fetched_path(name) if name in BACKBONES else _local(name)
    if folder is None:
        return None
    config = _json(folder / "config.json")
    layers = next((config[key] for key in LAYERS if isinstance(config.get(key), int)), None)
    limit = _json(folder / "tokenizer_config.json").get("model_max_length")
    known = isinstance(limit, int) and limit < NO_LIMIT
    complete = name in BACKBONES or Path(backbone_path(name)).is_dir()
    return BackboneFiles(folder, layers, limit if known else None, complete)


def _local(name: str) -> Path | None:
    path = Path(backbone_path(name))
    if path.is_dir():
        return path
    # loads the network's libraries, for which a folder need not wait
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    cached = try_to_load_from_cache(name, "config.json")
    return Path(cached).parent if isinstance(cached, str) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # a run says what is wrong with it
        return {}
    return content if isinstance(content, dict) else {}
