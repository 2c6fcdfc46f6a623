"""A workbench in Ray's object store: backbone and encoded rows once a node, mapped by all its workers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.config import RunConfig
from experiments.run.training import prefix_cache
from spt.backbones.base import Backbone
from spt.data.encoded.examples import Examples
from spt.data.split_texts import SplitTexts
from spt.spec import ModelSpec
from spt.workbench import Workbench


@dataclass(frozen=True)
class SharedWorkbench:
    """What runs of the same data and backbone share; Ray maps the arrays and copies the rest.

    Attributes:
        origin: the config that it was made for.
        spec: of its models.
        skeleton: the backbone with empty weights.
        weights: the bytes of each weight.
        shapes: of the weights.
        tokenizer: of the backbone.
        examples: encoded rows of each split.
        left_out: rows of each split without a text or a label.
        test_texts: of the rows of test.
    """

    origin: RunConfig
    spec: ModelSpec
    skeleton: Backbone
    weights: Mapping[str, NDArray[np.uint8]]
    shapes: Mapping[str, torch.Size]
    tokenizer: Any
    examples: Mapping[str, Examples]
    left_out: Mapping[str, int]
    test_texts: SplitTexts | None

    def serves(self, config: RunConfig) -> bool:
        """Say whether a run of that config would load the very same data and backbone."""
        return _loaded_from(config) == _loaded_from(self.origin)

    def open(self, config: RunConfig) -> Workbench:
        """Make the workbench of a config that this serves, over the shared weights.

        Raises:
            InputError: if the config's prompt does not fit the backbone.
        """
        return Workbench(
            self.spec.model_copy(update={"head": config.head, "prompt": config.prompt}),
            self.tokenizer,
            self.backbone(),
            self.examples,
            config.training,
            config.seed,
            prefix_cache(config),
            self.left_out,
            config.data.folds,
            self.test_texts,
        )

    def backbone(self) -> Backbone:
        """Fill the skeleton with the shared weights, which must not be written to."""
        for name, parameter in self.skeleton.named_parameters():
            parameter.data = _tensor(self.weights[name], parameter.dtype, self.shapes[name])
        return self.skeleton


def share(workbench: Workbench, config: RunConfig) -> SharedWorkbench:
    """Take a config's workbench apart, to be carried by Ray."""
    backbone = workbench.backbone
    # kept by the copy, so that no trial hashes the weights again
    _ = backbone.fingerprint
    weights = dict(backbone.named_parameters())
    empty = {
        id(p): nn.Parameter(torch.empty(0, dtype=p.dtype), requires_grad=False) for p in weights.values()
    }
    return SharedWorkbench(
        origin=config,
        spec=workbench.spec,
        skeleton=copy.deepcopy(backbone, empty),
        weights={name: _bytes(weight) for name, weight in weights.items()},
        shapes={name: weight.shape for name, weight in weights.items()},
        tokenizer=workbench.tokenizer,
        examples=workbench.examples,
        left_out=workbench.left_out,
        test_texts=workbench.test_texts,
    )


def _loaded_from(config: RunConfig) -> tuple[Any, ...]:
    return config.task, config.data, config.backbone, config.head.kind, config.seed


def _bytes(weight: Tensor) -> NDArray[np.uint8]:
    flat: NDArray[np.uint8] = weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return flat


def _tensor(data: NDArray[np.uint8], dtype: torch.dtype, shape: torch.Size) -> Tensor:
    with warnings.catch_warnings():
        # frozen weights are read only anyway
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(data).view(dtype).view(shape)
