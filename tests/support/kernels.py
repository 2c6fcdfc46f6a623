"""Which attention kernels ran, and in which precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Kernels(TorchDispatchMode):
    """Hold the dtypes that the fused attention kernels got, by kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "scaled_dot_product" in func.__name__:
            dtypes = {value.dtype for value in args if isinstance(value, Tensor)}
            self.dtypes.setdefault(func.__name__.split(".")[0], set()).update(dtypes)
        return func(*args, **(kwargs or {}))
