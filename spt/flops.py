"""Exact floating-point operations of what runs here, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from typing_extensions import Self

_aten = torch.ops.aten
# torch has formulas of a GPU's kernels alone
FORMULAS = {
    **flop_registry,
    _aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        _aten._scaled_dot_product_flash_attention
    ],
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        _aten._scaled_dot_product_flash_attention_backward
    ],
}


class FlopCounter(TorchDispatchMode):
    """Count operations by torch's FLOP formulas, without FlopCounterMode's tracking of modules.

    The tracking breaks on whole trainings, where hooks of one pass outlive it.
    """

    _entered = 0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    @classmethod
    def counting(cls) -> bool:
        """Say whether operations are counted now."""
        return cls._entered > 0

    def __enter__(self) -> Self:
        FlopCounter._entered += 1
        return super().__enter__()  # type: ignore[no-any-return,no-untyped-call]

    def __exit__(self, *error: object) -> None:
        FlopCounter._entered -= 1
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = FORMULAS.get(func._overloadpacket)
        if formula is None:
            # inference mode passes operations on whole, such as linear
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def flops(step: Callable[[], object]) -> int:
    """Count the floating-point operations of a step, forward and backward."""
    counter = FlopCounter()
    with counter:
        step()
    return counter.total
