"""The frozen backbone and the encoded rows in Ray's object store: one copy a node, mapped by its trials."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.config import RunConfig
from experiments.pipeline import OnEpoch, Run
from spt.backbones.base import Backbone
from spt.data.encoding import Example

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class SplitInfo:
    """What a run still asks of a split whose rows are encoded."""

    features: Any
    rows: int

    def __len__(self) -> int:
        return self.rows


@dataclass(frozen=True)
class SharedAssets:
    """What trials of the same data and backbone share; Ray maps the arrays and copies the rest.

    Attributes:
        origin: the config that they were made for.
        skeleton: the backbone with empty weights.
        weights: the bytes of each weight.
    """

    origin: RunConfig
    skeleton: Backbone
    weights: Mapping[str, NDArray[np.uint8]]
    shapes: Mapping[str, torch.Size]
    tokenizer: Any
    splits: Mapping[str, SplitInfo]
    examples: Mapping[str, list[Example]]

    def serve(self, config: RunConfig) -> bool:
        """Whether a run of that config would load the very same."""
        return _origin(config) == _origin(self.origin)

    def backbone(self) -> Backbone:
        """The backbone over the shared weights, which must not be written to."""
        for name, parameter in self.skeleton.named_parameters():
            parameter.data = _tensor(self.weights[name], parameter.dtype, self.shapes[name])
        return self.skeleton


def share(run: Run) -> SharedAssets:
    """The assets of a run; on return its backbone, tokenizer and rows are loaded.

    Raises:
        InputError: if data and backbone do not fit the config.
    """
    backbone = run.backbone
    # kept by the copy, so that no trial hashes the weights again
    _ = backbone.fingerprint
    weights = dict(backbone.named_parameters())
    empty = {
        id(p): nn.Parameter(torch.empty(0, dtype=p.dtype), requires_grad=False) for p in weights.values()
    }
    return SharedAssets(
        origin=run.config,
        skeleton=copy.deepcopy(backbone, empty),
        weights={name: _bytes(weight) for name, weight in weights.items()},
        shapes={name: weight.shape for name, weight in weights.items()},
        tokenizer=run.tokenizer,
        splits={name: SplitInfo(run.splits[name].features, len(run.splits[name])) for name in SPLITS},
        examples={name: run.examples(name) for name in SPLITS},
    )


class SharedRun(Run):
    """A run over shared assets instead of its own."""

    def __init__(
        self, config: RunConfig, folder: Path, on_epoch: OnEpoch | None, assets: SharedAssets
    ) -> None:
        super().__init__(config, folder, on_epoch)
        self.backbone = assets.backbone()
        self.tokenizer = assets.tokenizer
        self.splits = assets.splits
        self._examples = dict(assets.examples)


def run_shared(config: RunConfig, folder: Path, on_epoch: OnEpoch, assets: SharedAssets) -> dict[str, Any]:
    """As `pipeline.run`, over shared assets where they are those of the config."""
    shared = assets.serve(config)
    run = SharedRun(config, folder, on_epoch, assets) if shared else Run(config, folder, on_epoch)
    with run.claimed() as claimed:
        return claimed.evaluate()


def _origin(config: RunConfig) -> tuple[Any, ...]:
    return config.task, config.data, config.backbone, config.head.kind, config.seed


def _bytes(weight: Tensor) -> NDArray[np.uint8]:
    flat: NDArray[np.uint8] = weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return flat


def _tensor(data: NDArray[np.uint8], dtype: torch.dtype, shape: torch.Size) -> Tensor:
    with warnings.catch_warnings():
        # frozen weights are read only anyway
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(data).view(dtype).view(shape)
