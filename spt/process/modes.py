"""Names of what a configuration may choose, known to configurations and to the code that obeys them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from spt.errors import InputError

AUTO = "auto"


def _precision(value: Any) -> Any:
    """Return the precision that a value of YAML stands for."""
    # what YAML makes of an unquoted 32; True and 32.0 are none
    return "32" if type(value) is int and value == 32 else value


Precision = Annotated[Literal["32", "bf16"], BeforeValidator(_precision)]


def device_name(value: Any) -> str:
    """Return the name of a device.

    Raises:
        InputError: for what is none.
    """
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", value):
        raise InputError(f"The device is {value!r}, but must be auto, cpu, cuda, cuda:1 (or so), or mps.")
    return value


DeviceName = Annotated[str, BeforeValidator(device_name)]


def _cache_mode(value: Any) -> Any:
    """Return the cache mode that a value of YAML stands for, and refuse the one of earlier versions."""
    if value is False:
        # what YAML makes of an unquoted off
        return "off"
    if value == "memory":
        raise ValueError(
            "'memory' is not a mode any more: it computed in every process what disk computes once. "
            "Use auto, disk or off"
        )
    return value


CacheMode = Annotated[Literal["auto", "disk", "off"], BeforeValidator(_cache_mode)]


def without_memory_mode(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stored config as this version reads it: `cache: memory` of earlier versions becomes auto."""
    return {**stored, "cache": "auto"} if stored.get("cache") == "memory" else stored
